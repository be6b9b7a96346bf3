"""How a contact sheet looks, on screens light and dark, and on paper."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --page: #f5f6f8; --card: #fff; --ink: #1d2129; --soft: #5c6472;
  --line: #dfe3e9; --good: #1b7f4b; --bad: #b3261e; --link: #1f5fbf; }
@media (prefers-color-scheme: dark) { :root { --page: #101216; --card: #191c22; --ink: #e6e8ec;
  --soft: #9aa3b2; --line: #2c313b; --good: #63c994; --bad: #ff8f85; --link: #86b6ff; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 1.5rem clamp(1rem, 3vw, 2.5rem) 3rem; background: var(--page); color: var(--ink);
  font: 14px/1.45 system-ui, -apple-system, 'Segoe UI', sans-serif; }
h1 { margin: 0 0 .5rem; font-size: 1.5rem; }
a { color: var(--link); }
.asked { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: 0 0 .5rem; }
.asked dt { color: var(--soft); }
.asked dd { margin: 0; overflow-wrap: anywhere; }
.summary { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; margin: 0 0 1.2rem; color: var(--soft); }
.summary label { cursor: pointer; }
.summary input { margin: 0 .35rem 0 0; vertical-align: -.1em; }
body:has(#hide-invalid:checked) .invalid, body:has(#hide-duplicate:checked) .duplicate { display: none; }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 1rem; }
.card { display: flex; flex-direction: column; gap: .5rem; padding: .6rem 1rem .8rem; background: var(--card);
  border: 1px solid var(--line); border-radius: 12px; break-inside: avoid; }
.card:target { outline: 2px solid var(--link); }
.card svg { width: 100%; height: auto; max-height: 320px; }
.card h2 { display: flex; flex-wrap: wrap; align-items: baseline; justify-content: space-between;
  gap: 0 .6rem; margin: 0; font-size: 1.25rem; overflow-wrap: anywhere; }
.card h2 small { color: var(--soft); font-size: .8rem; font-weight: 400; }
.card sub { font-size: .7em; line-height: 0; }
.bar { text-decoration: overline; }
.symmetry { margin: -.4rem 0 0; color: var(--soft); }
.badges { display: flex; flex-wrap: wrap; gap: .3rem; margin: 0; padding: 0; list-style: none; }
.badges li { padding: .05rem .55rem; border: 1px solid var(--line); border-radius: 1em; font-size: .8rem; }
.badges .good { color: var(--good); border-color: currentColor; }
.badges .bad { color: var(--bad); border-color: currentColor; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { padding: .08rem .8rem .08rem 0; color: var(--soft); font-weight: 400; text-align: left;
  white-space: nowrap; }
td { padding: .08rem 0; text-align: right; overflow-wrap: anywhere; }
.from { margin: 0; color: var(--soft); font-size: .85rem; overflow-wrap: anywhere; }
.transition { max-height: 8.5em; overflow: auto; padding: .4rem .6rem; border-left: 3px solid var(--line);
  font-size: .85rem; overflow-wrap: anywhere; white-space: pre-line; }
footer { display: flex; justify-content: space-between; gap: .8rem; margin-top: auto; padding-top: .4rem;
  border-top: 1px solid var(--line); color: var(--soft); font-size: .8rem; overflow-wrap: anywhere; }
footer a { flex: none; }
.none { margin-top: 2rem; }
.none ul { padding-left: 1.2rem; }
.none pre { max-height: 8em; overflow: auto; padding: .4rem .6rem; background: var(--card);
  border: 1px solid var(--line); border-radius: 6px; white-space: pre-wrap; overflow-wrap: anywhere; }
@media print { body { padding: 0; background: none; } .summary label { display: none; }
  .transition { max-height: none; } }
"""
