"""Guards on the source: what is easily forgotten when an option or a field is added."""

import re

import pytest

from server import ROOT

CONFIG_H = (ROOT / "src/httpd/config/config.h").read_text()
CACHE_H = (ROOT / "src/httpd/config/cache_lines.h").read_text()
NAMES = re.compile(r"\b(?:LlamaAuth|Require)\w+")
CONFIG_C = (ROOT / "src/httpd/config/config.c").read_text()
README = (ROOT / "README.md").read_text()
SOURCES = sorted((ROOT / "src").rglob("*.c")) + [ROOT / "mod_llama_auth.c"]


def fields(struct):
    body = re.search(r"typedef struct %s \{(.*?)\n\}" % struct, CONFIG_H, re.S).group(1)
    return re.findall(r"(\w+);", re.sub(r"/\*.*?\*/", "", body, flags=re.S))


def commented_fields(struct):
    """Fields with the comment behind each; a struct in a field is looked at by itself."""
    body = re.search(r"typedef struct %s \{(.*?)\n\}" % struct, CONFIG_H + CACHE_H, re.S).group(1)
    found = re.findall(r"(\w+);\s*/\*(.*?)\*/", body, re.S)
    assert [name for name, _ in found] == re.findall(r"(\w+);", re.sub(r"/\*.*?\*/", "", body, flags=re.S)), "a field without a comment"
    return [(name, comment) for name, comment in found if name != "cache"]


def directives():
    return re.findall(r'AP_INIT_\w+\(\s*"<?(\w+)"', CONFIG_C)


def function(name):
    return re.search(r"\nvoid \*%s\(.*?\n\}" % name, CONFIG_C, re.S).group(0)


def option_names():
    rows = [re.findall(r'^    \{"(\w+)", \w+,', path.read_text(), re.M) for path in SOURCES if path.parent.name == "provider"]
    return sorted({name for found in rows for name in found})


@pytest.mark.parametrize("struct, merge", [("la_server_conf_t", "la_config_merge_server"),
                                           ("la_dir_conf_t", "la_config_merge_dir")])
def test_every_field_is_merged(struct, merge):
    assert fields(struct)
    missing = [f for f in fields(struct) if f"merged->{f} =" not in function(merge)]
    assert not missing


@pytest.mark.parametrize("struct", ["la_server_conf_t", "la_dir_conf_t", "la_cache_conf_t"])
def test_every_field_has_a_directive(struct):
    """A field's comment names the directive that sets it; that one is in the command table."""
    missing = [field for field, comment in commented_fields(struct) if not set(NAMES.findall(comment)) & set(directives())]
    assert missing == [], "no row in the command table"


def test_every_directive_has_a_field():
    named = {name for struct in ("la_server_conf_t", "la_dir_conf_t", "la_cache_conf_t") for _, comment in commented_fields(struct)
             for name in NAMES.findall(comment)}
    assert set(directives()) - named == {"LlamaAuthProvider", "LlamaAuthQuota", "LlamaAuthSigner"}, "no field of a struct"


def test_every_directive_is_in_the_readme():
    assert len(directives()) > 4
    assert [d for d in directives() if d not in README] == []


def test_every_option_is_in_the_readme():
    assert len(option_names()) > 15
    assert [o for o in option_names() if f"`{o}" not in README] == []


def test_log_numbers_are_unique():
    numbers = [n for path in SOURCES for n in re.findall(r"LA_LOGNO\((\d+)\)", path.read_text())]
    assert numbers and len(numbers) == len(set(numbers))


def test_versions_of_real_servers():
    """README's table says what tests/real and tests/clients install."""
    table = re.search(r"^## Real servers\n.*?^\|---.*?\n(.*?)\n\n", README, re.M | re.S).group(1)
    files = [path for path in (ROOT / "tests" / "real").rglob("*") if path.suffix in (".txt", ".mod")]
    pinned = "".join(path.read_text() for path in (*files, ROOT / "tests" / "clients" / "package.json"))
    versions = [version for row in table.split("\n") for version in row.split("|")[2].strip().split(", ")]
    assert versions and [version for version in versions if not re.search(rf"[:=v\"]{re.escape(version)}\b", pinned)] == []
