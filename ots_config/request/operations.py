"""The table of every operation of the service: its name, what it carries, and what repeating it does.

The names are the paths of the protocol (``POST /PutRow``); the list is that of the official SDK 6.4.8. Both ends of
the wire read it: the request layer to decide about retries, the emulator to tell an unknown operation from one that
it does not have.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Effect(Enum):
    """What an operation does to the stored data, and so what a second sending of it would do."""

    READ = "read"
    """Changes nothing: sending it again is always safe."""
    ROW_WRITE = "row write"
    """Changes rows: whether it is safe to repeat depends on the row, its condition and its columns."""
    WRITE = "write"
    """Changes something else; the second try would fail on, or double, what the first one did."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the service.

    Attributes:
        name: Its name, which is case-sensitive.
        effect: What it does to the stored data.
        json: Whether it carries JSON (knowledge bases, memories) instead of protobuf.
        path: The path of its requests.
    """

    name: str
    effect: Effect
    json: bool = False
    path: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", f"/{self.name}")


_READS = """
ListTable DescribeTable GetRow BatchGetRow GetRange ComputeSplitPointsBySize
ListSearchIndex DescribeSearchIndex Search ComputeSplits ParallelScan
GetTimeseriesData ListTimeseriesTable DescribeTimeseriesTable QueryTimeseriesMeta
"""

_ROW_WRITES = "PutRow UpdateRow DeleteRow BatchWriteRow"

# SQLQuery stands here because the statement may be a CREATE, DROP or ALTER.
_WRITES = """
CreateTable DeleteTable UpdateTable CreateIndex DropIndex
CreateSearchIndex UpdateSearchIndex DeleteSearchIndex
StartLocalTransaction CommitTransaction AbortTransaction SQLQuery
PutTimeseriesData CreateTimeseriesTable DeleteTimeseriesTable UpdateTimeseriesTable
UpdateTimeseriesMeta DeleteTimeseriesMeta
"""

_JSON_READS = """
ListKnowledgeBase DescribeKnowledgeBase GetDocument ListDocuments Retrieve ListChunks
ListMemoryStores GetMemoryStore SearchMemories ListMemories GetMemory ListMemoryStoreMessages
ListMemoryStoreRequests GetMemoryTask ListMemoryTasks ListMemoryStoreScopes
GetMemoryDreamTask ListMemoryDreamTasks ListMemoryDreamActions
"""

_JSON_WRITES = """
CreateKnowledgeBase DeleteKnowledgeBase UpdateKnowledgeBase AddDocuments DeleteDocuments UpdateDocument UpdateChunks
CreateMemoryStore UpdateMemoryStore DeleteMemoryStore AddMemories UpdateMemory DeleteMemory
CreateMemoryDreamTask CancelMemoryDreamTask ApplyMemoryDreamActions
"""

OPERATIONS: dict[str, Operation] = {
    name: Operation(name, effect, json)
    for names, effect, json in (
        (_READS, Effect.READ, False),
        (_ROW_WRITES, Effect.ROW_WRITE, False),
        (_WRITES, Effect.WRITE, False),
        (_JSON_READS, Effect.READ, True),
        (_JSON_WRITES, Effect.WRITE, True),
    )
    for name in names.split()
}
