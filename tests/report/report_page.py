"""A strict reader of the report: what a test may ask of the page."""

import base64
import hashlib
import json
import re
import zlib
from html.parser import HTMLParser

VOID = {"meta", "img", "br", "hr"}


class Page(HTMLParser):
    """Reads a page, insisting that every element is closed in turn."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.open, self.texts, self.scripts = [], [], {}, []
        self.homes = []  # the section of each element, or None
        self.whole = text
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    @classmethod
    def of(cls, path):
        return cls(path.read_bytes().decode("utf-8"))

    def handle_starttag(self, name, attributes):
        attributes = dict(attributes)
        self.elements.append((name, attributes))
        self.homes.append(next((i for n, i in self.open if n == "section"), None))
        if name not in VOID:
            self.open.append((name, attributes.get("id")))

    def handle_endtag(self, name):
        assert self.open, f"</{name}> closes nothing"
        opened, _ = self.open.pop()
        assert opened == name, f"</{name}> closes <{opened}>"

    def handle_data(self, data):
        names = [name for name, _ in self.open]
        if "style" in names:
            return
        if "script" in names:
            self.scripts.append((self.elements[-1][1], data))
            return
        section = next((i for name, i in self.open if name == "section"), None)
        section = section or next((n for n in names if n in ("header", "title")), "")
        self.texts.setdefault(section, []).append(data)

    def text(self, section):
        """All text of a section by its id, or of ``header``."""
        return " ".join(" ".join(self.texts.get(section, [])).split())

    def all(self, name, *, inside=None, **wanted):
        return [
            attributes
            for (found, attributes), home in zip(self.elements, self.homes, strict=True)
            if found == name
            and inside in (None, home)
            and all(attributes.get(k.rstrip("_").replace("_", "-")) == v for k, v in wanted.items())
        ]

    def sections(self):
        return [attributes["id"] for attributes in self.all("section")]

    def data(self):
        """What the map's script is given."""
        text = next(data for attributes, data in self.scripts if attributes.get("id") == "map-data")
        return json.loads(zlib.decompress(base64.b64decode(text, validate=True)))

    def check_scripts(self):
        """One script, that of the policy; and data that no browser runs, in letters and digits."""
        assert len(self.scripts) == len(self.all("script"))
        run = [data for attributes, data in self.scripts if attributes["type"] != "text/plain"]
        assert len(run) == 1
        digest = base64.b64encode(hashlib.sha256(run[0].encode()).digest()).decode()
        policy = next(a["content"] for a in self.all("meta") if "http-equiv" in a)
        assert policy.startswith("default-src 'none'; ")
        assert f"script-src 'sha256-{digest}';" in policy
        for attributes, data in self.scripts:
            assert attributes["type"] == "module" or re.fullmatch(r"[A-Za-z0-9+/]+=*", data)

    def check(self):
        """What holds for every report, at every stage."""
        self.check_scripts()
        assert not self.all("link")
        assert len(self.all("h1")) == 1
        ids = [a["id"] for _, a in self.elements if "id" in a]
        assert len(ids) == len(set(ids))
        for name, attributes in self.elements:
            assert not any(key.startswith("on") for key in attributes), attributes
            if name == "img":
                assert attributes["src"].startswith("data:image/")
                assert attributes["alt"]
            elif "src" in attributes:
                raise AssertionError(f"{name} loads something")
            for key in ("href", "aria-labelledby"):
                if key in attributes:
                    assert attributes[key].removeprefix("#") in ids, attributes[key]
        assert len(self.all("caption")) == len(self.all("table"))
        assert "url(" not in self.whole
        assert "@import" not in self.whole
        assert {"picks", "provenance"} <= set(self.sections())
        return self
