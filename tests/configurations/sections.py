"""What a generated configuration is made of, and how httpd.conf and .htaccess are written from it.

A section holds lines; a line is one directive with, for some, the methods of the <Limit> or <LimitExcept> around it. Which
lines hold for a request is model.py's question; this file only writes them down.
"""

from dataclasses import dataclass, field, replace

METHODS = ("GET", "POST", "PUT", "DELETE", "OPTIONS")

# Headers that LlamaAuthForward sets; all of them are announced in the server's configuration.
FORWARDED = {"X-Fz-User": "principal", "X-Fz-Provider": "provider", "X-Fz-Roles": "attribute:roles", "X-Fz-Id": "client_id"}

# LlamaAuthScopeImplies of the main server, and what its virtual host adds: there they are a circle.
IMPLIES = {False: (("top", "a"),), True: (("a", "b"), ("b", "top"))}


@dataclass(frozen=True)
class Line:
    """`limit`: None, or ("Limit" | "LimitExcept", methods)."""
    name: str
    words: tuple = ()
    limit: tuple = None

    def covers(self, method):
        if self.limit is None:
            return True
        kind, methods = self.limit
        return (method in methods) == (kind == "Limit")

    def text(self):
        line = " ".join((self.name, *self.words))
        if self.limit is None:
            return line
        kind, methods = self.limit
        return f"<{kind} {' '.join(methods)}>\n    {line}\n    </{kind}>"


@dataclass(frozen=True)
class Group:
    """Require lines inside <RequireAny> or <RequireAll>."""
    name: str
    lines: tuple
    limit: tuple = None

    covers = Line.covers

    def text(self):
        inside = "\n    ".join([f"<{self.name}>", *(f"    {line.text()}" for line in self.lines), f"</{self.name}>"])
        if self.limit is None:
            return inside
        kind, methods = self.limit
        return f"<{kind} {' '.join(methods)}>\n    {inside}\n    </{kind}>"


@dataclass(frozen=True)
class Section:
    """kind: directory, location, locationmatch, htaccess, and files and if inside a directory, a location or an .htaccess.

    where: the directory's path below htdocs, the location's path or its regular expression; inner: None, ("files", name) or
    ("if", expression, whether it is true)."""
    kind: str
    where: str
    lines: tuple
    inner: tuple = None

    def text(self, root):
        body = [line.text() for line in self.lines]
        if self.inner:
            name = {"files": "Files", "if": "If"}[self.inner[0]]
            body = [f'<{name} "{self.inner[1]}">', *body, f"</{name}>"]
        if self.kind == "htaccess":
            return "\n".join(body) + "\n"
        name = {"directory": "Directory", "location": "Location", "locationmatch": "LocationMatch"}[self.kind]
        where = f"{root}/htdocs{self.where}" if self.kind == "directory" else self.where
        return "\n    ".join([f'<{name} "{where}">', *body]) + f"\n</{name}>\n"


@dataclass(frozen=True)
class Way:
    """How a request comes to a page without asking for it. `first`: the URL that is asked for; `text`: lines of the server's
    configuration, `htaccess`: (directory, lines); `files`: path below htdocs -> (content, executable); `page`: where it leads, when it
    is sure to lead there."""
    name: str
    first: str
    text: str = ""
    htaccess: tuple = None
    files: dict = field(default_factory=dict, hash=False, compare=False)
    page: str = None


@dataclass(frozen=True)
class Configuration:
    """One tree: everything of it lies below its prefix, so that many of them fit into one server."""
    prefix: str
    pages: tuple     # URLs of CGI scripts
    sections: tuple  # in the order in which they are written
    ways: tuple
    inside_host: bool = False

    def without(self, index):
        """This configuration without its section of that index."""
        return replace(self, sections=self.sections[:index] + self.sections[index + 1:])

    def without_line(self, index, line):
        section = self.sections[index]
        shorter = replace(section, lines=section.lines[:line] + section.lines[line + 1:])
        return replace(self, sections=self.sections[:index] + (shorter,) + self.sections[index + 1:])

    def text(self, root, back="BACKEND"):
        """What stands in httpd's configuration; `back`: host and port behind the proxies."""
        parts = [f"# {self.prefix}\n"]
        parts += [section.text(root) for section in self.sections if section.kind != "htaccess"]
        parts += [way.text.replace("{root}", str(root)).replace("{back}", back) for way in self.ways]
        return "\n".join(parts)

    def htaccess(self):
        """The .htaccess files: directory below htdocs -> text."""
        files = {}
        for section in self.sections:
            if section.kind == "htaccess":
                files[section.where] = files.get(section.where, "") + section.text(None)
        for way in self.ways:
            if way.htaccess:
                where, text = way.htaccess
                files[where] = files.get(where, "") + text
        return files

    def shown(self, root):
        """All of it for a reader."""
        parts = [self.text(root)]
        parts += [f"# {where}/.htaccess\n{text}" for where, text in self.htaccess().items()]
        parts += [f"# {path}\n{content}" for way in self.ways for path, (content, _) in way.files.items()]
        return "\n".join(parts)
