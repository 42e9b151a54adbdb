"""A strict reader of the pages: what is not well-formed fails."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br", "hr", "input"}
SVG_EMPTY = {"path", "circle", "line", "rect", "stop"}


@dataclass
class Node:
    tag: str
    attrs: dict[str, str]
    children: list["Node"] = field(default_factory=list)
    text: str = ""

    def all(self, tag: str) -> list["Node"]:
        found = [self] if self.tag == tag else []
        return found + [n for child in self.children for n in child.all(tag)]

    def words(self) -> str:
        return self.text + "".join(child.words() for child in self.children)

    def has(self, name: str) -> bool:
        return name in self.attrs.get("class", "").split()


class Tree(HTMLParser):
    """Parses strictly: every element that is opened is closed, in order, and no id is used twice."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Node("root", {})
        self.stack = [self.root]
        self.ids: set[str] = set()
        self.feed(text)
        self.close()
        assert [n.tag for n in self.stack] == ["root"], "elements left open"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"an attribute of <{tag}> is given twice"
        node = Node(tag, {name: value or "" for name, value in attrs})
        if "id" in node.attrs:
            assert node.attrs["id"] not in self.ids, f"id {node.attrs['id']} is used twice"
            self.ids.add(node.attrs["id"])
        self.stack[-1].children.append(node)
        if tag not in VOID:
            self.stack.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID | SVG_EMPTY, f"<{tag}/> closes nothing in HTML"
        self.stack[-1].children.append(Node(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.stack[-1].tag == tag, f"</{tag}> closes <{self.stack[-1].tag}>"
        self.stack.pop()

    def handle_data(self, data: str) -> None:
        self.stack[-1].children.append(Node("#text", {}, text=data))
