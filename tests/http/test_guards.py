"""Guards on the source: what is easily forgotten when an option or a field is added."""

import re

import pytest

from server import ROOT

CONFIG_H = (ROOT / "src/httpd/config/config.h").read_text()
CONFIG_C = (ROOT / "src/httpd/config/config.c").read_text()
README = (ROOT / "README.md").read_text()
SOURCES = sorted((ROOT / "src").rglob("*.c")) + [ROOT / "mod_llama_auth.c"]


def fields(struct):
    body = re.search(r"typedef struct %s \{(.*?)\n\}" % struct, CONFIG_H, re.S).group(1)
    return re.findall(r"(\w+);", re.sub(r"/\*.*?\*/", "", body, flags=re.S))


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


def test_every_directive_is_in_the_readme():
    directives = re.findall(r'AP_INIT_\w+\("<?(\w+)"', CONFIG_C)
    assert len(directives) > 4
    assert [d for d in directives if d not in README] == []


def test_every_option_is_in_the_readme():
    assert len(option_names()) > 15
    assert [o for o in option_names() if f"`{o}" not in README] == []


def test_log_numbers_are_unique():
    numbers = [n for path in SOURCES for n in re.findall(r"LA_LOGNO\((\d+)\)", path.read_text())]
    assert numbers and len(numbers) == len(set(numbers))
