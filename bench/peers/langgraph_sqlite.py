"""LangGraph with its SQLite saver: a graph of ten nodes in a row.

Set up: `AsyncSqliteSaver`, which opens the file in WAL mode and leaves `synchronous` at SQLite's default, FULL: every
commit is flushed. `durability="sync"` writes the checkpoint of a step before the next step starts, as the other
engines here do; `durability="async"`, LangGraph's default, writes it while the next step runs, so a crash may lose
steps that were answered.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, TypedDict

from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph

from bench.peers._shape import STEPS, RunOne, Variant, answer, main


class State(TypedDict):
    """What flows from node to node."""

    step: int
    score: float


def _node(number: int) -> Callable[[State], Any]:
    async def step(state: State) -> dict[str, Any]:
        return answer(number)

    return step


@asynccontextmanager
async def _opened(durability: Literal["sync", "async"], folder: Path) -> AsyncIterator[RunOne]:
    building = StateGraph(State)
    for number in range(STEPS):
        building.add_node(f"step{number}", _node(number))
        building.add_edge(START if number == 0 else f"step{number - 1}", f"step{number}")
    building.add_edge(f"step{STEPS - 1}", END)
    async with AsyncSqliteSaver.from_conn_string(str(folder / "graph.db")) as saver:
        graph = building.compile(checkpointer=saver)

        async def run_one(run_id: str) -> Any:
            config: Any = {"configurable": {"thread_id": run_id}}
            return await graph.ainvoke({"step": -1, "score": 0.0}, config, durability=durability)

        yield run_one


def _variant(durability: Literal["sync", "async"], told: str) -> Variant:
    opened: Callable[[Path], AbstractAsyncContextManager[RunOne]] = partial(_opened, durability)
    return Variant(f"LangGraph {version('langgraph')}, SQLite saver, {durability}", told, opened)


if __name__ == "__main__":
    main(
        [
            _variant("sync", "each step's checkpoint is committed before the next step; WAL, synchronous=FULL"),
            _variant("async", "checkpoints lag behind the steps (its default); WAL, synchronous=FULL"),
        ],
        __doc__,
    )
