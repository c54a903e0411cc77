"""Whatever comes, leaves and is cancelled: never too many are out, nobody waits in vain, nobody overtakes."""

import asyncio

from hypothesis import given, strategies as st

from holdfast.track._http.gate import Gate

STEPS = st.lists(
    st.tuples(
        st.sampled_from(("enter", "give back", "cancel", "cancel at the grant")), st.integers(0, 9)
    ),
    max_size=40,
)


async def passes():
    """Let everything that can happen happen."""
    for _ in range(4):
        await asyncio.sleep(0)


@given(limit=st.integers(1, 4), steps=STEPS)
def test_the_gate_keeps_its_bound_and_its_order(limit, steps):
    """Checked after every step against a list of who came when."""

    async def main():
        gate = Gate("g", limit, max_queue=1000, queue_timeout=None)
        came, granted, tasks, out = [], [], {}, []

        async def one(number):
            ticket = await gate.enter(str(number))
            granted.append(number)
            out.append((number, ticket))

        async def check():
            await passes()
            waiting = [n for n in came if not tasks[n].done()]
            assert len(gate.out()) == len(out) <= limit
            assert not waiting or len(out) == limit
            assert gate.stats("x").queued == len(waiting)
            assert granted == [n for n in came if n in granted]  # in the order in which they came

        for step, pick in steps:
            if step == "enter":
                came.append(len(came))
                tasks[came[-1]] = asyncio.create_task(one(came[-1]))
            elif step == "give back" and out:
                out.pop(pick % len(out))[1].give_back()
            elif step.startswith("cancel") and (
                waiting := [n for n in came if not tasks[n].done()]
            ):
                if step == "cancel at the grant" and out:
                    out.pop(0)[
                        1
                    ].give_back()  # the first in line is handed the place, and does not know it
                    tasks[waiting[0]].cancel()
                else:
                    tasks[waiting[pick % len(waiting)]].cancel()
            await check()
        while out:
            out.pop()[1].give_back()
            await check()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        assert not gate.out()

    asyncio.run(main())
