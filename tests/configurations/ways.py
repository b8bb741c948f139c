"""The ways to a page that do not ask for it: each is one mechanism of httpd, in a directory of its own below the tree's
prefix, with sections of its own (generate.py's)."""

from dataclasses import replace

from sections import Way

# The script of the host behind the proxies; {back} is that host. Its path says what page.cgi's own names would say.
BACKEND = "/back/page.cgi"
BACK = f"http://{{back}}{BACKEND}"

SCRIPT = "#!/bin/sh\nread -r body\n"


def redirecting(target):
    return SCRIPT + f"printf 'Location: {target}\\n\\n'\n"


def directory(path, *lines):
    return "\n    ".join([f'<Directory "{{root}}/htdocs{path}">', *lines]) + "\n</Directory>\n"


def location(path, *lines):
    return "\n    ".join([f'<Location "{path}">', *lines]) + "\n</Location>\n"


def keep(path):
    """A file that makes the directory exist."""
    return {f"{path}/other.txt": ("other\n", False)}


def index(random, here, target, page):
    return Way("index", page.rsplit("/", 1)[0] + "/")


def index_elsewhere(random, here, target, page):
    return Way("index elsewhere", f"{here}/", directory(here, f"DirectoryIndex {target}"), files=keep(here))


def fallback(random, here, target, page):
    return Way("fallback", f"{here}/nothing", directory(here, f"FallbackResource {target}"), files=keep(here))


def rewrite_server(random, here, target, page):
    flag = random.choice(("PT", "PT,L", "PT,END"))
    return Way("rewrite in the server", f"{here}/go", f'RewriteRule "^{here}/go$" "{target}" [{flag}]\n', files=keep(here))


def rewrite_directory(random, here, target, page):
    lines = ("RewriteEngine On", f'RewriteRule "^go$" "{target}" [{random.choice(("L", "END", "PT", "QSA,L"))}]')
    if random.random() < 0.5:
        return Way("rewrite in a directory", f"{here}/go", directory(here, *lines), files=keep(here))
    return Way("rewrite in .htaccess", f"{here}/go", htaccess=(here, "\n".join(lines) + "\n"), files=keep(here))


def error_404(random, here, target, page):
    return Way("error 404", f"{here}/nothing", location(here, f"ErrorDocument 404 {target}"), files=keep(here))


def error_of_page(random, here, target, page):
    """In the page's own directory."""
    own = page.rsplit("/", 1)[0]
    return Way("error 404 beside the page", f"{own}/nothing{here[-1]}", directory(own, f"ErrorDocument 404 {target}"))


def error_403(random, here, target, page):
    text = location(here, f"ErrorDocument 403 {target}") + location(f"{here}/no", "Require all denied")
    return Way("error 403", f"{here}/no", text, files=keep(here))


def error_401(random, here, target, page):
    text = location(here, f"ErrorDocument 401 {target}") + location(f"{here}/no", "AuthType Basic", "AuthName no", "Require user nobody")
    return Way("error 401", f"{here}/no", text, files=keep(here))


def error_405(random, here, target, page):
    return Way("error 405", f"{here}/other.txt", location(here, f"ErrorDocument 405 {target}"), files=keep(here))


def include(random, here, target, page):
    targets = [target] + [other for other in (page, target, page.replace("/p0/", "/p1/")) if random.random() < 0.4]
    text = "".join(f'<!--#include virtual="{one}" -->' for one in targets)
    return Way("include", f"{here}/x.shtml", files={f"{here}/x.shtml": (f"a {text} b\n", False)})


def execute(random, here, target, page):
    return Way("exec cgi", f"{here}/x.shtml", files={f"{here}/x.shtml": (f'a <!--#exec cgi="{page}" --> b\n', False)})


def action(random, here, target, page):
    name = "la" + here.replace("/", "-")
    return Way("action", f"{here}/x", f"Action {name} {target} virtual\n" + location(here, f"SetHandler {name}"), files=keep(here))


def negotiation(random, here, target, page):
    return Way("negotiation", page.removesuffix(".cgi"))


def cgi_location(random, here, target, page):
    return Way("redirect of a script", f"{here}/go.cgi", files={f"{here}/go.cgi": (redirecting(target), True)})


def proxy_pass(random, here, target, page):
    return Way("proxied", f"{here}/x", location(here, f'ProxyPass "{BACK}/url{here}"'), files=keep(here))


def proxy_server(random, here, target, page):
    rule = f'RewriteRule "^{here}/go$" "{BACK}/url{here}/go" [P]\n'
    return Way("proxied by the server's rewriting", f"{here}/go", rule, files=keep(here))


def proxy_directory(random, here, target, page):
    lines = ("RewriteEngine On", f'RewriteRule "^go$" "{BACK}/file{here}/go" [P]')
    return Way("proxied by a directory's rewriting", f"{here}/go", directory(here, *lines), files=keep(here))


def alias(random, here, target, page):
    return Way("alias", f"{here}/page.cgi", f'Alias "{here}" "{{root}}/htdocs{page.rsplit("/", 1)[0]}"\n')


def slash(random, here, target, page):
    return Way("no slash", page.rsplit("/", 1)[0])


MAKERS = (index, index, index_elsewhere, fallback, rewrite_server, rewrite_directory, error_404, error_of_page, error_403,
          error_401, error_405, include, include, execute, action, negotiation, cgi_location, alias, slash, proxy_pass, proxy_server,
          proxy_directory)

# Those whose first URL can be another way's target, without a loop.
CHAINED = 0.2


def make_ways(random, prefix, pages):
    ways = []
    for number, maker in enumerate(random.sample(MAKERS, 10)):
        page = random.choice(pages)
        target = page
        if ways and random.random() < CHAINED:
            target = random.choice(ways).first
        way = maker(random, f"{prefix}/w{number}", target, page)
        plain = target == page and maker not in (slash, proxy_pass, proxy_server, proxy_directory, negotiation, alias, action,
                                                      error_401, error_403, error_405)
        ways.append(replace(way, page=page) if plain else way)
    return ways
