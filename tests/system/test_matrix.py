"""Users, rights and operations: what happens in every cell of the table, and that `explain` says the same."""
import re

import pytest

from harness import SOURCE, hashed

RIGHTS = ["read", "list", "create", "replace", "delete", "mkdir", "rename"]
# What a directory may grant, by the name of the directory: the presets, each right alone, some together.
SETS = {
    "readonly": {"read", "list"}, "dropbox": {"create"}, "full": set(RIGHTS), "none": set(),
    **{right: {right} for right in RIGHTS},
    "move": {"delete", "rename"}, "collect": {"list", "create", "mkdir"},
}
# Directories of such directories, and whom their rules are for; nobody else has rights there.
KINDS = {"all": None, "team": ["*"], "alices": ["alice"], "ours": ["alice", "bob"]}
USERS = ["-", "alice", "bob"]
PASSWORD = "correct horse"

# What an operation needs on the cell's name, and what it does there. NAME is what lies in the cell, NEW what does
# not, HERE the directory itself; FULL and FRESH are the same in a directory where everything is allowed.
NAME, NEW, HERE, FULL, FRESH = "NAME", "NEW", "HERE", "FULL", "FRESH"
OPERATIONS = [
    ("upload", {"create"}, {"filename": NEW, "filesize": 3}),
    ("upload", {"create"}, {"filename": NEW, "filesize": 3, "parents": True, "if_exists": "keep_both"}),
    ("upload-begin", {"create"}, {"filename": NEW, "filesize": 3}),
    ("upload-begin", {"create"}, {"filename": NEW, "filesize": 3, "base": FULL}),
    ("upload-begin", {"read"}, {"filename": FRESH, "filesize": 3, "base": NAME}),
    ("upload-part", {"create"}, {"filename": NEW, "filesize": 0}),
    ("upload-end", {"create"}, {"filename": NEW}),
    ("upload-status", {"create"}, {"filename": NEW}),
    ("upload-abort", {"create"}, {"filename": NEW}),
    ("upload-list", set(), {}),
    ("download", {"read"}, {"filename": NAME}),
    ("download-tree", {"read", "list"}, {"filename": HERE}),
    ("list", {"list"}, {"filename": HERE}),
    ("list", {"list"}, {"filename": HERE, "recursive": True}),
    ("stat", {"list"}, {"filename": NAME}),
    ("digest", {"read"}, {"filename": NAME}),
    ("mkdir", {"mkdir"}, {"filename": NEW}),
    ("mkdir", {"mkdir"}, {"filename": NEW, "parents": True}),
    ("remove", {"delete"}, {"filename": NAME}),
    ("remove", {"delete"}, {"filename": NAME, "recursive": True}),
    ("rename", {"rename", "delete"}, {"filename": NAME, "to": FRESH}),
    ("rename", {"create"}, {"filename": FULL, "to": NEW}),
    ("copy", {"read"}, {"filename": NAME, "to": FRESH}),
    ("copy", {"create"}, {"filename": FULL, "to": NEW}),
    ("set", {"replace"}, {"filename": NAME, "mtime_ns": 10**18}),
    ("space", set(), {"filename": NAME}),  # of the share; all have some right in it
    ("space", set(), {}),
    ("commit", set(), {}),
    ("cancel", set(), {}),
    ("ping", set(), {}),
    ("hello", set(), {"version": [1]}),
    ("login", set(), {"user": "alice", "password": PASSWORD}),  # never a second time, but that is no right
    ("quit", set(), {}),
]
# Refused for another reason where the rights are there: an upload has no id here, and nobody logs in twice.
INCOMPLETE = {"login", "upload-part", "upload-end", "upload-status", "upload-abort"}


def table(name, row):
    """The first column of a table of the sources."""
    return re.findall(rf'^{row}\("([^"]+)"', (SOURCE / name).read_text(), re.M)


def granted(user, kind, rights):
    """What the rules say, read once more."""
    whom = KINDS[kind]
    mine = whom is None or (user != "-" and (user in whom or "*" in whom))
    return SETS[rights] if mine else set()


def rules():
    listed = []
    for kind, whom in KINDS.items():
        for name, rights in SETS.items():
            rule = {"path": f"/{kind}/{name}", "rights": ",".join(sorted(rights)) or "none"}
            listed.append({"users": whom, **rule} if whom else rule)
    listed[0]["rights"] = "readonly"  # by their presets, too
    listed[1]["rights"] = "dropbox"
    listed[2]["rights"] = "full"
    return listed + [{"path": "/spare", "rights": "full"}]


@pytest.fixture(scope="module")
def ruled(make_shared_ftd):
    ftd = make_shared_ftd(start=False)
    ftd.write_users(*(f"{user}:{hashed(PASSWORD)}" for user in USERS[1:]))
    share = {k: v for k, v in ftd.settings["shares"][0].items() if k != "rights"}
    ftd.write_conf({"shares": [{**share, "rules": rules()}]})
    for kind in KINDS:
        for name in SETS:
            (ftd.root / kind / name).mkdir(parents=True)
    (ftd.root / "spare").mkdir()
    return ftd.start()


class Cell:
    """One directory for one request: what its words stand for, with the files they need."""
    count = 0

    def __init__(self, root, kind, rights):
        Cell.count += 1
        self.root, self.here = root, f"/{kind}/{rights}"

    def name(self, word):
        where = "/spare" if word in (FULL, FRESH) else self.here
        if word == HERE:
            return where
        path = f"{where}/{'new' if word in (NEW, FRESH) else 'file'}{Cell.count}"
        if word in (NAME, FULL):
            (self.root / path[1:]).write_bytes(b"abc")
        return path

    def request(self, keys):
        words = (NAME, NEW, HERE, FULL, FRESH)
        return {k: self.name(v) if isinstance(v, str) and v in words else v for k, v in keys.items()}

    def state(self):
        """Names and times in both directories."""
        places = self.root / self.here[1:], self.root / "spare"
        return {(str(p), p.stat().st_mtime_ns) for place in places for p in place.iterdir()}


def connected(ftd, user):
    client = ftd.client()
    if user != "-":
        answer = client.ask({"opt": "login", "user": user, "password": PASSWORD})
        assert answer["status"] == "ok", answer
    return client


def ask(client, opt, keys):
    """The code of the refusal, or None."""
    client.send({"opt": opt, **keys}, b"abc" if opt == "upload" else b"")
    header, _ = client.answer()
    while header.get("more"):
        assert "code" not in header, header
        header, _ = client.answer()
    return header.get("code")


def explained(ftd, user, opt, keys):
    names = {"to" if k == "base" else k: v for k, v in keys.items() if k in ("filename", "to", "base", "recursive")}
    return ftd.ask("explain", user=user, operation=opt, **names)


def deciding(ftd, answer):
    """The line that is said to decide."""
    assert answer["file"] == str(ftd.conf)
    return ftd.conf.read_text().splitlines()[answer["line"] - 1]


def test_every_operation_is_in_the_table():
    assert {opt for opt, _, _ in OPERATIONS} == set(table("lib/operations.def", "OPERATION"))


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_cell(ruled, user, kind):
    cells = 0
    for rights in SETS:
        has = granted(user, kind, rights)
        client = connected(ruled, user)
        for opt, need, keys in OPERATIONS:
            cell = Cell(ruled.root, kind, rights)
            keys = cell.request(keys)
            allowed = need <= has
            before = cell.state()
            explanation = explained(ruled, user, opt, keys)
            code = ask(client, opt, keys)
            what = f"{user} with {sorted(has)}: {opt} {keys}: {code}, explained {explanation['steps'][-3:]}"
            assert code is None or not allowed or opt in INCOMPLETE, what
            assert allowed or code == "permission", what
            assert explanation["allowed"] == allowed, what
            assert explanation.get("reason") == (None if allowed else code), what
            assert allowed or cell.state() == before, what
            cells += 1
        client.close()
    assert cells == len(SETS) * len(OPERATIONS)


# --- explain

RULED = """shares = ( {
  path = "/"; root = "%s"; anonymous = "loopback";
  rules = (
    { users = ( "alice" ); path = "/in/alice"; rights = "full"; },
    { path = "/in"; rights = "dropbox"; },
    { users = ( "*" ); rights = "readonly"; } ); },
  { path = "/hidden"; root = "%s"; anonymous = "never"; rights = "readonly"; } );
"""


@pytest.fixture(scope="module")
def lined(make_shared_ftd):
    """A daemon whose rules stand in lines of their own."""
    ftd = make_shared_ftd(start=False)
    lines = [line for line in ftd.conf.read_text().splitlines() if not line.startswith("shares")]
    ftd.conf.write_text("\n".join(lines) + "\n" + RULED % (ftd.root, ftd.root))
    ftd.write_users(f"alice:{hashed(PASSWORD)}", f"bob:{hashed(PASSWORD)}:disabled", "carol:*")
    return ftd.start()


LINES = [
    # user, operation, path, to, reason, what stands in the line that decides
    ("alice", "upload", "/in/alice/f", None, None, '"/in/alice"; rights = "full"'),
    ("alice", "upload", "/in/f", None, None, '"/in"; rights = "dropbox"'),
    ("alice", "stat", "/in/f", None, "permission", '"/in"; rights = "dropbox"'),
    ("alice", "upload", "/in/deep/f", None, "permission", '"/in"; rights = "dropbox"'),
    ("alice", "download", "/f", None, None, 'rights = "readonly"; } );'),
    ("alice", "remove", "/f", None, "permission", 'rights = "readonly"; } );'),
    ("alice", "copy", "/f", "/in/f", None, '"/in"; rights = "dropbox"'),
    ("alice", "copy", "/in/f", "/in/g", "permission", '"/in"; rights = "dropbox"'),
    ("alice", "list", "/hidden", None, None, '"/hidden"'),
    ("alice", "remove", "/hidden", None, "permission", '"/hidden"'),
    ("-", "list", "/hidden", None, "permission", '"/hidden"'),
    ("anonymous", "upload", "/in/f", None, None, '"/in"; rights = "dropbox"'),
    ("-", "download", "/f", None, "permission", "shares = ( {"),
]


@pytest.mark.parametrize("user, opt, path, to, reason, line", LINES)
def test_explain_names_the_line_that_decides(lined, user, opt, path, to, reason, line):
    answer = explained(lined, user, opt, {"filename": path, **({"to": to} if to else {})})
    assert (answer["allowed"], answer.get("reason")) == (reason is None, reason)
    assert line in deciding(lined, answer)
    assert all(step["text"] for step in answer["steps"])


def test_explain_on_a_terminal(lined):
    done = lined.ftctl("explain", "alice", "upload", "/in/f", check=False)
    number = 1 + lined.conf.read_text().splitlines().index('    { path = "/in"; rights = "dropbox"; },')
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == f"allowed: {lined.conf}:{number}"
    assert f"{lined.conf}:{number - 1}: a rule for another path" in done.stdout
    done = lined.ftctl("explain", "alice", "rename", "/in/f", "--to", "/in/g", check=False)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == f"denied (permission): {lined.conf}:{number}"


@pytest.mark.parametrize("user, opt, how, reason", [
    ("bob", "list", {}, "account_disabled"),
    ("carol", "list", {}, "auth_failed"),
    ("mallory", "connect", {}, "auth_failed"),
    ("alice", "connect", {}, None),
    ("-", "connect", {}, None),
    ("-", "connect", {"from": "192.0.2.7"}, "auth_required"),
    ("alice", "connect", {"from": "192.0.2.7"}, None),
    ("alice", "list", {"filename": "/../x"}, "bad_name"),
])
def test_explain_says_who_gets_in(lined, user, opt, how, reason):
    answer = lined.ask("explain", user=user, operation=opt, **{"filename": "/", **how})
    assert (answer["allowed"], answer.get("reason")) == (reason is None, reason)


def test_explain_knows_bans(lined):
    lined.ask("ban", address="192.0.2.0/24")
    answer = lined.ask("explain", user="alice", operation="connect", **{"from": "192.0.2.7"})
    assert (answer["allowed"], answer["reason"]) == (False, "address_refused")
    lined.ask("unban", address="192.0.2.0/24")


@pytest.mark.parametrize("words, said", [
    (("alice", "uplod", "/f"), "did you mean upload?"),
    (("alice", "upload"), "PATH is missing"),
    (("alice", "copy", "/f"), "--to is missing"),
    (("Alice", "list", "/"), "Alice is no user"),
    (("alice", "list", "/", "--from", "here"), "here is not an address"),
])
def test_explain_says_what_is_wrong_with_the_question(lined, words, said):
    done = lined.ftctl("explain", *words, check=False)
    assert done.returncode == 2
    assert said in done.stderr


def test_other_rules_end_sessions(make_ftd):
    ftd = make_ftd(start=False)
    share = {k: v for k, v in ftd.settings["shares"][0].items() if k != "rights"}
    ftd.write_conf({"shares": [{**share, "rules": [{"path": "/a", "rights": "full"}]}]})
    ftd.start()
    with ftd.client() as client:
        assert client.ask({"opt": "stat", "filename": "/a"})["code"] == "not_found"
        ftd.ftctl("reload")
        assert client.ask({"opt": "ping"})["status"] == "ok"  # the same rules
        ftd.write_conf({"shares": [{**share, "rules": [{"path": "/a", "rights": "create"}]}]})
        ftd.ftctl("reload")
        last, _ = client.answer()
        assert (last["code"], last["close"]) == ("draining", True)
    with ftd.client() as client:
        assert client.ask({"opt": "stat", "filename": "/a"})["code"] == "permission"
