"""The four knowledge bases, one Markdown file each, and a search that counts words."""

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "articles"
NOISE = {"a", "an", "and", "at", "by", "for", "from", "in", "is", "of", "on", "that", "the", "to", "when"}


@dataclass(frozen=True)
class Article:
    article_id: str
    title: str
    text: str


@dataclass(frozen=True)
class Hit:
    article: Article
    score: float  # the part of the question's words that the article has: 0 to 1


@dataclass(frozen=True)
class KnowledgeBase:
    name: str
    description: str
    articles: tuple[Article, ...]

    def search(self, question: str, limit: int = 2) -> list[Hit]:
        """Give the articles that have most of the question's words, best first; none if they share no word."""
        asked = words(question)
        hits = [
            Hit(a, round(len(asked & words(f"{a.title} {a.text}")) / max(len(asked), 1), 3))
            for a in self.articles
        ]
        found = [hit for hit in hits if hit.score > 0]
        return sorted(found, key=lambda hit: (-hit.score, hit.article.article_id))[:limit]


def words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower())) - NOISE


def read_articles(path: Path) -> tuple[Article, ...]:
    """Read a file whose second headings are `## ID Title`."""
    sections = path.read_text(encoding="utf-8").split("\n## ")[1:]
    articles = []
    for section in sections:
        heading, _, text = section.partition("\n")
        article_id, _, title = heading.partition(" ")
        articles.append(Article(article_id, title, " ".join(text.split())))
    return tuple(articles)


KNOWLEDGE_BASES = {
    name: KnowledgeBase(name, description, read_articles(FOLDER / f"{name}.md"))
    for name, description in {
        "billing": "charges, invoices, VAT and ways to pay",
        "shipping": "delivery times, parcels and addresses",
        "product_manual": "the coffee machine: lights, care, beans",
        "policy": "refunds, warranty, replacements and how to write to customers",
    }.items()
}
