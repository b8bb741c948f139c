"""Pieces of configuration that several test files share."""


def provider(name, url, *options):
    """A `custom` provider section. Its breaker is off: one test's outages are not another's."""
    if not any(option.startswith("Breaker") for option in options):
        options += ("Breaker off",)
    return "\n    ".join([f"<LlamaAuthProvider {name} custom>", f"Endpoint {url}", *options]) + "\n</LlamaAuthProvider>\n"


def location(path, *names, lines=("Require valid-user",)):
    """A section that authenticates with these providers; its realm is `custom`."""
    lines = "\n    ".join(lines)
    return f"""
<Location "{path}">
    AuthType Bearer
    AuthName "custom"
    LlamaAuthUse {' '.join(names)}
    {lines}
</Location>
"""


def everywhere(httpd, path):
    """A file at every URL below the path, whatever its name."""
    httpd.write("htdocs/ok.txt", "ok\n")
    return f'AliasMatch "^{path}(/|$)" "{httpd.root}/htdocs/ok.txt"\n'
