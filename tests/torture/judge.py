"""Break a command at one operation, go on as a person would, and say what is wrong then."""

from __future__ import annotations

import errno
import re
import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import label_client
from faults import COUNT, FAIL_FROM, FAIL_ONCE, KILL, KILL_HALFWAY, Bench, Ended, Fault
from scenes import Scene, tokens_of
from worlds import difference, fresh, snapshot

ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS)
OPTIONAL = ("missing: run/map.npz", "missing: run/.split.csv.good")  # written if it can be
TRIES = 4  # commands that a person gives to get on
REST = re.compile(r"(.*?/)?\.[^/]*\.[0-9a-f]{8,}\.(tmp|old)")


@dataclass
class Stage:
    """A scene that is ready.

    Attributes
    ----------
    given : folder from which the world is made again.
    before, after : what the world holds then, and when the command has ended unbroken.
    seen : for each reader what it makes of the world before and after.
    points : every fault that can be made.
    lines : the operations in words.
    said : what the unbroken command says on stderr.
    """

    scene: Scene
    bench: Bench
    given: Path
    before: dict[str, str] = field(default_factory=dict)
    after: dict[str, str] = field(default_factory=dict)
    seen: list[tuple[Any, Any]] = field(default_factory=list)
    points: list[Fault] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    said: str = ""

    @property
    def world(self):
        """The folder that commands work on."""
        return self.bench.world

    def restore(self):
        """Make the world again as it was given."""
        shutil.rmtree(self.world, ignore_errors=True)
        shutil.copytree(self.given, self.world)

    def tokens(self):
        """The command line."""
        return tokens_of(self.scene.tokens, self.world)

    def read(self, reader):
        """What a reader makes of the world (None where it refuses), and how it ended."""
        ended = self.bench.run(tokens_of(reader, self.world), learn=not self.points)
        found = self.world / "seen.csv"
        seen = found.read_bytes() if ended.code == 0 else None
        found.unlink(missing_ok=True)
        return seen, ended

    def whole(self, *, learn=False):
        """Run the command unbroken and count its operations."""
        if not self.scene.page:
            return self.bench.run(self.tokens(), Fault(COUNT, 0), learn=learn)
        self.bench.arm(Fault(COUNT, 0))
        done, ended = label_client.session(self.bench, self.tokens(), learn=learn)
        self.bench.disarm()
        if len(done) < label_client.OPERATIONS:
            raise AssertionError(f"{done} alone are done: {ended.err}")
        return ended


def set_up(scene, bench, folder):
    """Prepare a scene: run it whole, and count its operations."""
    fresh(bench.world)
    for step in scene.before:
        if callable(step):
            step(bench.world)
        elif (ended := bench.run(tokens_of(step, bench.world), learn=True)).code != 0:
            raise AssertionError(f"{scene.name}: {' '.join(step)} failed: {ended.err}")
    given = folder / "given"
    shutil.rmtree(given, ignore_errors=True)
    shutil.copytree(bench.world, given)
    stage = Stage(scene, bench, given)
    stage.before = snapshot(stage.world)
    seen = [[stage.read(reader)[0] for reader in scene.readers]]
    for _ in range(3):  # what the first imports, the second finds imported; the third counts
        stage.restore()
        ended = stage.whole(learn=True)
        if ended.code != 0:
            raise AssertionError(f"{scene.name}: {ended.err}")
        former, stage.after = stage.after, snapshot(stage.world)
    if said := different(stage.after, former):
        raise AssertionError(f"{scene.name} is not the same twice: {said}")
    kinds, stage.lines = bench.operations()
    stage.said = ended.err
    seen.append([stage.read(reader)[0] for reader in scene.readers])
    stage.seen = list(zip(*seen, strict=True))
    stage.points = points_of(kinds)
    return stage


def torture(scene, bench, folder, *, whole):
    """Break a scene at every point, or at one in so many: what is wrong, and the counts."""
    stage = set_up(scene, bench, folder)
    points = stage.points[:: 1 if whole else scene.every]
    wrong: list[str] = []
    outcomes: Counter[str] = Counter()
    failed = 0
    for fault in points:
        found, outcome = break_at(stage, fault)
        outcomes[outcome] += 1
        failed += bool(found)
        wrong += found
    if not scene.name.startswith("export"):  # which can be made again
        wrong += [f"a power cut (): {one}" for one in unflushed(stage.lines)]
    modes = Counter(fault.mode for fault in points)
    counts = {
        "operations": len(stage.lines),
        "points": len(points),
        "kills": modes[KILL],
        "kills halfway through a write": modes[KILL_HALFWAY],
        "failing operations": modes[FAIL_ONCE] + modes[FAIL_FROM],
        "outcomes": dict(sorted(outcomes.items())),
        "failures": failed,
    }
    return wrong, counts


def summed_up(wrong):
    """The same complaints of several points as one line, the most frequent first."""
    kinds: dict[str, list[str]] = {}
    for one in wrong:
        point, _, what = one.partition("): ")
        what = re.sub(r"\S*/world/", "@", what)
        what = re.sub(r"\.[^/ ]*\.[0-9a-f]{12}\.(tmp|old)(/[\w.]+)?", r"*.\1", what)
        kinds.setdefault(what, []).append(point + ")")
    order = sorted(kinds.items(), key=lambda pair: -len(pair[1]))
    return "\n".join(f"{len(points)} x {what}\n    {points[0]}" for what, points in order)


def unflushed(lines):
    """What takes its name before it is on the disk, so that a power cut may leave it empty.

    The cache can be made again, and what is moved aside was on the disk before.
    """
    dirty: set[str] = set()
    open_folders: dict[str, str] = {}  # renamed, and the folder not flushed yet
    said, source = [], ""
    for line in lines:
        what, _, path = line.partition(" ")
        if what.startswith(("write", "pwrite", "fwrite", "sendfile", "copy_file")):
            dirty.add(path)
        elif what in ("fsync", "fdatasync"):
            dirty.discard(path)
            open_folders.pop(path, None)
        elif what == "from":
            source = path
        elif what.startswith("rename") and not path.startswith("/cache/") and not REST.match(path):
            early = [name for name in dirty if f"{name}/".startswith(f"{source}/")]
            said += [f"{name} is renamed to {path} before it is flushed" for name in sorted(early)]
            if not source.endswith(
                ".old"
            ):  # which the next command knows, should it be there still
                open_folders[path.rpartition("/")[0]] = path
    return said + [f"{path} is renamed, its folder not flushed" for path in open_folders.values()]


def points_of(kinds):
    """Every fault that can be made of these operations, in their order."""
    found = []
    for at, kind in enumerate(kinds, start=1):
        found.append(Fault(KILL, at))
        if kind == "w":
            found.append(Fault(KILL_HALFWAY, at))
        for error in ERRORS:
            if error != errno.ENOSPC or kind in "owmls":
                found += [Fault(FAIL_ONCE, at, error), Fault(FAIL_FROM, at, error)]
    return found


def different(found, expected):
    """What two worlds differ in; the cache may hold more or less, but no rests of writing."""
    said = []
    for line in difference(found, expected):
        kind, name = line.split(": ", 1)
        if rest := REST.match(name):
            said.append(f"{kind}: {rest[0]}")
        elif kind == "differs" or not name.startswith("cache/"):
            said.append(line)
    return list(dict.fromkeys(said))


def break_at(stage, fault):
    """Sentences on what is wrong after a fault and what a person does then; and the outcome."""
    stage.restore()
    if stage.scene.page:
        ended, wrong = break_page(stage, fault)
    else:
        ended = stage.bench.run(stage.tokens(), fault)
        wrong = [f"at once: {one}" for one in at_once(stage, fault, ended)]
        if (fault.at + fault.mode + fault.error) % 2:  # else the same command comes first
            wrong += reading(stage)
        wrong += going_on(stage)
    outcome = "killed" if ended.code == -9 else "refused" if ended.code else "done all the same"
    return [f"{fault} ({ended.what}): {one}" for one in wrong], outcome


def at_once(stage, fault, ended):
    """What is wrong before anybody goes on."""
    if ended.code is None:
        return ["it hangs"]
    if ended.code == -9:
        return [] if fault.kills else ["it was killed"]
    said = complaints(ended, stage.said)
    now = snapshot(stage.world)
    if ended.code == 0:
        return said + [
            f"exit code 0, but {one}"
            for one in different(now, stage.after)
            if not one.endswith((".tmp", ".old")) and one not in OPTIONAL
        ]
    if named := re.search(r"Error: (\S+) cannot be written.*untouched", ended.err):
        name = named[1].removeprefix(f"{stage.world}/")
        if name in stage.before and now.get(name) != stage.before[name]:
            said.append(f"says that {name} is untouched, which it is not")
    return said


def complaints(ended: Ended, usual=""):
    """What is wrong with how a command ended and with what it says."""
    if ended.code is None:
        return ["it hangs"]
    if ended.code < 0:
        return [f"ended by signal {-ended.code}: {ended.err[-300:]}"]
    lines = [line for line in ended.err.splitlines() if line]
    if any(line.startswith("Traceback") for line in lines):
        return ["a traceback: " + " | ".join(lines[-3:])]
    if ended.code == 0:
        return []
    errors = [line for line in lines if line.startswith("Error: ")]
    if len(errors) != 1:
        return [f"exit code {ended.code}, {len(errors)} lines of error: {ended.err[-300:]!r}"]
    known = Counter(usual.splitlines())
    if more := [x for x in lines if x not in (*errors, *known) and not x.startswith("Note: ")]:
        return [f"more lines than the error: {more}"]
    return []


def reading(stage):
    """Whether others see what was there before, or what the command makes; or say what is wrong."""
    wrong = []
    for reader, known in zip(stage.scene.readers, stage.seen, strict=True):
        seen, ended = stage.read(reader)
        if seen is None:
            wrong += [f"usl {reader[0]}: {one}" for one in complaints(ended)]
        elif seen not in known:
            wrong.append(f"usl {reader[0]} sees neither what was before nor what is new")
    return wrong


def going_on(stage):
    """What is wrong after the same command, and what its errors say to do."""
    tokens, tried = stage.tokens(), []
    for _ in range(TRIES):
        ended = stage.bench.run(tokens)
        tried.append(ended.err.strip()[-300:])
        if ended.code == 0:
            break
        if said := complaints(ended):
            return [f"the next command: {one}" for one in said]
        if not different(snapshot(stage.world), stage.after):
            return []  # it was done, and says so
        following = advised(tokens, ended.err)
        if following is None:
            return [f"the next command is refused: {tried[-1]}"]
        tokens = following
    else:
        return [f"nothing helps: {' / '.join(tried)}"]
    return [f"then {one}" for one in different(snapshot(stage.world), stage.after)]


def advised(tokens, said):
    """The command line that an error asks for; None where it asks for none."""
    if "--resume" in tokens and re.search(r"[Ll]eave out --resume|without --resume", said):
        return [token for token in tokens if token != "--resume"]
    if "--resume" not in tokens and re.search(r"\(--resume\)|with --resume", said):
        return [*tokens, "--resume"]
    if "--overwrite" not in tokens and "--overwrite" in said:
        return [*tokens, "--overwrite"]
    return None


def break_page(stage, fault):
    """A labelling session that is broken, then one that is not and goes on."""
    bench, wrong = stage.bench, []
    bench.arm(fault)
    done, ended = label_client.session(bench, stage.tokens())
    ended = Ended(ended.code, ended.out, ended.err, bench.disarm())
    if not (ended.code == -9 and fault.kills):
        wrong += [f"at once: {one}" for one in complaints(ended, stage.said) if not told(one)]
    there = label_client.kept(stage.world / "run", bench.folder / "copy")
    if lost := sorted(set(done) - there):
        wrong.append(f"acknowledged, and lost: {', '.join(lost)}")
    done, again = label_client.session(bench, stage.tokens(), done)
    if again.code != 0:
        wrong.append(f"the next session: {again.code} {again.err[-300:]}")
    if len(done) < label_client.OPERATIONS:
        wrong.append(f"the next session takes {len(done)} operations only: {again.err[-300:]}")
    wrong += [f"then {one}" for one in different(snapshot(stage.world), stage.after)]
    return ended, wrong


def told(complaint):
    """Whether a complaint is of the lines that a server that is stopped says in any case."""
    return complaint.startswith("more lines than the error")
