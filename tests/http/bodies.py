"""Bodies that name a model, or seem to, and the demanded answer: the model, or 400. And readers of JSON that are less strict than ours, who must
find the same model in each body that is accepted."""

import json

B, Q = b"\\", b'"'


def nested(levels, inner=b"1"):
    """An object that is `levels` deep, itself included, and names the model m."""
    return b'{"model": "m", "x": ' + b"[" * (levels - 1) + inner + b"]" * (levels - 1) + b"}"


def big(size, rest=b""):
    return b'{"model": "m", "pad": "' + b"p" * size + b'"' + rest + b"}"


# name: (body, model or 400)
BODIES = {
    "plain": (b'{"model": "m"}', "m"),
    "with others": (b'{"messages": [], "model": "m", "stream": true}', "m"),
    "last": (b'{"a": {"model": "other"}, "b": [{"model": "other"}], "model": "m"}', "m"),
    "first, then deeper": (b'{"model": "m", "a": {"model": "other"}}', "m"),
    "in a list deeper": (b'{"model": "m", "a": [{"model": "other"}, {"model": "x"}]}', "m"),
    "as a value elsewhere": (b'{"a": "model", "model": "m"}', "m"),
    "in a string": (br'{"a": "\"model\": \"other\"", "model": "m"}', "m"),
    "no white space": (b'{"model":"m","n":1}', "m"),
    "much white space": (b' \t\r\n{ \t\r\n"model" \t\r\n: \t\r\n"m" \t\r\n} \t\r\n', "m"),
    "escaped name": (br'{"mod\u0065l": "m"}', "m"),
    "all of the name escaped": (br'{"\u006d\u006f\u0064\u0065\u006c": "m"}', "m"),
    "escaped value": (br'{"model": "\u006d"}', "m"),
    "slash": (b'{"model": "meta-llama/Llama-3.1-8B"}', "meta-llama/Llama-3.1-8B"),
    "escaped slash": (br'{"model": "a\/b"}', "a/b"),
    "colon": (b'{"model": "llama3:8b-instruct"}', "llama3:8b-instruct"),
    "quote": (br'{"model": "a\"b"}', 'a"b'),
    "backslash": (br'{"model": "a\\b"}', "a\\b"),
    "blank": (b'{"model": " m "}', " m "),
    "star": (b'{"model": "*"}', "*"),
    "two bytes": ('{"model": "é"}'.encode(), "é"),
    "three bytes": ('{"model": "模型"}'.encode(), "模型"),
    "four bytes": ('{"model": "😀"}'.encode(), "😀"),
    "escaped beyond ASCII": (br'{"model": "\u00e9"}', "é"),
    "surrogate pair": (br'{"model": "\ud83d\ude00"}', "😀"),
    "no-break space": (br'{"model": "a\u00a0b"}', "a\u00a0b"),
    "C1 control": (br'{"model": "a\u0085b"}', "a\u0085b"),
    "256 bytes": (b'{"model": "' + b"m" * 256 + b'"}', "m" * 256),
    "numbers of every kind": (b'{"a": [0, -0, 1, -1, 10.5, 1e5, 1E+5, 1.5e-5, -0.0], "model": "m"}', "m"),
    "literals": (b'{"a": [null, true, false], "model": "m"}', "m"),
    "empty containers": (b'{"a": {}, "b": [], "c": {"d": [[], {}]}, "model": "m"}', "m"),
    "empty name": (b'{"": 1, "model": "m"}', "m"),
    "longer name": (b'{"models": ["other"], "modelx": "other", "xmodel": "other", "model": "m"}', "m"),
    "name with a dot": (b'{"a.model": "other", "model": "m"}', "m"),
    "name with blanks": (b'{" model": "other", "model ": "other", "model": "m"}', "m"),
    "others twice": (b'{"a": 1, "a": 2, "model": "m"}', "m"),
    "lone surrogate elsewhere": (br'{"a": "\ud800", "model": "m"}', "m"),
    "all escapes": (br'{"a": "\"\\\/\b\f\n\r\t\u0000", "model": "m"}', "m"),
    "DEL elsewhere": (b'{"a": "\x7f", "model": "m"}', "m"),
    "200 levels": (nested(200), "m"),
    "huge number": (b'{"a": 1e999, "model": "m"}', "m"),
    "long number": (b'{"a": ' + b"1" * 4000 + b', "model": "m"}', "m"),
    "name before 64 KB": (big(65536), "m"),
    "name behind 300 KB": (b'{"pad": "' + b"p" * 300000 + b'", "model": "m"}', "m"),
    "1 MB of numbers": (b'{"a": [' + b"1," * 500000 + b'1], "model": "m"}', "m"),
    "cut name of 10 KB": (b'{"' + b"n" * 10000 + b'": 1, "model": "m"}', "m"),
    "fallbacks are no model": (b'{"model": "m", "fallbacks": ["other"]}', "m"),

    "no member": (b'{"messages": []}', 400),
    "empty object": (b"{}", 400),
    "empty": (b"", 400),
    "white space": (b" \n", 400),
    "a list": (b'[{"model": "m"}]', 400),
    "a string": (b'"model"', 400),
    "a number": (b"1", 400),
    "null": (b"null", 400),
    "twice, same": (b'{"model": "m", "model": "m"}', 400),
    "twice": (b'{"model": "m", "model": "other"}', 400),
    "twice, the other way": (b'{"model": "other", "model": "m"}', 400),
    "twice, one escaped": (br'{"model": "m", "mod\u0065l": "other"}', 400),
    "twice, behind 64 KB": (big(65536, b', "model": "other"'), 400),
    "twice, behind 300 KB": (big(300000, b', "model": "other"'), 400),
    "twice, first a list": (b'{"model": ["m"], "model": "m"}', 400),
    "another case": (b'{"model": "m", "MODEL": "other"}', 400),
    "another case first": (b'{"Model": "other", "model": "m"}', 400),
    "another case alone": (b'{"MODEL": "m"}', 400),
    "another case, escaped": (br'{"model": "m", "\u004dodel": "other"}', 400),
    "null member": (b'{"model": null}', 400),
    "number": (b'{"model": 1}', 400),
    "true": (b'{"model": true}', 400),
    "list": (b'{"model": ["m"]}', 400),
    "object": (b'{"model": {"name": "m"}}', 400),
    "empty name of a model": (b'{"model": ""}', 400),
    "257 bytes": (b'{"model": "' + b"m" * 257 + b'"}', 400),
    "10 KB": (b'{"model": "' + b"m" * 10240 + b'"}', 400),
    "NUL": (br'{"model": "m\u0000"}', 400),
    "line feed": (br'{"model": "m\nx"}', 400),
    "tab": (br'{"model": "m\t"}', 400),
    "U+001F": (br'{"model": "m\u001f"}', 400),
    "DEL": (b'{"model": "m\x7f"}', 400),
    "escaped DEL": (br'{"model": "m\u007f"}', 400),
    "lone high surrogate": (br'{"model": "m\ud800"}', 400),
    "lone low surrogate": (br'{"model": "\udc00m"}', 400),
    "surrogates the wrong way": (br'{"model": "\udc00\ud800"}', 400),
    "high surrogate, then a letter": (br'{"model": "\ud83dm"}', 400),
    "two high surrogates": (br'{"model": "\ud83d\ud83d\ude00"}', 400),
    "NUL in the name": (br'{"model\u0000": "m", "model": "m"}', 400),
    "NUL in another name": (br'{"model": "m", "x\u0000y": 1}', 400),
    "raw NUL": (b'{"model": "m"}\0', 400),
    "raw NUL in a string": (b'{"model": "m\0"}', 400),
    "raw control character": (b'{"model": "m\n"}', 400),
    "raw control character elsewhere": (b'{"a": "\x1f", "model": "m"}', 400),
    "BOM": (b"\xef\xbb\xbf" + b'{"model": "m"}', 400),
    "UTF-16": ('{"model": "m"}'.encode("utf-16-le"), 400),
    "UTF-16 with a BOM": ('{"model": "m"}'.encode("utf-16"), 400),
    "UTF-32": ('{"model": "m"}'.encode("utf-32-be"), 400),
    "Latin-1": ('{"model": "é"}'.encode("latin-1"), 400),
    "overlong": (b'{"model": "\xc0\xaf"}', 400),
    "overlong elsewhere": (b'{"a": "\xe0\x80\xaf", "model": "m"}', 400),
    "surrogate in UTF-8": (b'{"model": "\xed\xa0\x80"}', 400),
    "above U+10FFFF": (b'{"model": "\xf4\x90\x80\x80"}', 400),
    "cut character": (b'{"model": "\xe6\xa8"}', 400),
    "byte 0xFF": (b'{"model": "m\xff"}', 400),
    "single quotes": (b"{'model': 'm'}", 400),
    "no quotes": (b'{model: "m"}', 400),
    "comment": (b'{/* "model": "other" */ "model": "m"}', 400),
    "line comment": (b'{"model": "m" // x\n}', 400),
    "hash comment": (b'# x\n{"model": "m"}', 400),
    "comma at the end": (b'{"model": "m",}', 400),
    "comma at the beginning": (b'{,"model": "m"}', 400),
    "two commas": (b'{"a": 1,, "model": "m"}', 400),
    "no comma": (b'{"a": 1 "model": "m"}', 400),
    "comma in a list": (b'{"a": [1,], "model": "m"}', 400),
    "NaN": (b'{"a": NaN, "model": "m"}', 400),
    "Infinity": (b'{"a": -Infinity, "model": "m"}', 400),
    "leading zero": (b'{"a": 01, "model": "m"}', 400),
    "plus": (b'{"a": +1, "model": "m"}', 400),
    "hexadecimal": (b'{"a": 0x1, "model": "m"}', 400),
    "no digit behind the point": (b'{"a": 1., "model": "m"}', 400),
    "no digit before the point": (b'{"a": .5, "model": "m"}', 400),
    "no exponent": (b'{"a": 1e, "model": "m"}', 400),
    "minus alone": (b'{"a": -, "model": "m"}', 400),
    "True": (b'{"a": True, "model": "m"}', 400),
    "cut literal": (b'{"a": nul, "model": "m"}', 400),
    "unknown escape": (br'{"model": "\m"}', 400),
    "escaped single quote": (br'{"a": "\'", "model": "m"}', 400),
    "short escape": (br'{"model": "\u6d"}', 400),
    "braces in an escape": (br'{"model": "\u{6d}"}', 400),
    "unfinished": (b'{"model": "m"', 400),
    "unfinished string": (b'{"model": "m', 400),
    "unfinished escape": (b'{"model": "m\\', 400),
    "more behind": (b'{"model": "m"} x', 400),
    "two objects": (b'{"model": "m"}{"model": "other"}', 400),
    "two lines": (b'{"model": "m"}\n{"model": "other"}\n', 400),
    "closed too often": (b'{"model": "m"}}', 400),
    "closed crosswise": (b'{"a": [1}, "model": "m"]', 400),
    "201 levels": (nested(201), 400),
    "100,000 levels": (nested(100000), 400),
    "form": (b"model=m", 400),
    "multipart": (b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--b--\r\n', 400),
    "vertical tab as white space": (b'{\x0b"model": "m"}', 400),
    "no-break space as white space": ('{\u00a0"model": "m"}'.encode(), 400),
    "line separator as white space": ('{\u2028"model": "m"}'.encode(), 400),
}


def python_reader(body):
    return json.loads(body)["model"]


def first_reader(body):
    """Of members with one name the first."""
    def first(pairs):
        return dict(reversed(pairs))
    return json.loads(body, object_pairs_hook=first)["model"]


def fold(name):
    return name.replace("\u017f", "s").replace("\u212a", "k").lower()


def go_reader(body):
    """Names without case, the last one wins, and halves of surrogate pairs become U+FFFD."""
    text = body.decode("utf-8-sig", "replace")
    return json.loads(text, strict=False, object_pairs_hook=lambda pairs: {fold(n): v for n, v in pairs})["model"]


READERS = {"python": python_reader, "first": first_reader, "go": go_reader}
