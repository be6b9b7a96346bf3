"""How a report looks, on screens light and dark, and on paper."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --page: #f5f6f8; --card: #fff; --ink: #1d2129; --soft: #5c6472;
  --line: #dfe3e9; --faint: #eef0f4; --good: #1b7f4b; --bad: #b3261e; --link: #1f5fbf;
  --passed: #2f77b4; --waiting: #b9c6d6; --dropped: #d9a07a; }
@media (prefers-color-scheme: dark) { :root { --page: #101216; --card: #191c22; --ink: #e6e8ec;
  --soft: #9aa3b2; --line: #2c313b; --faint: #22262e; --good: #63c994; --bad: #ff8f85; --link: #86b6ff;
  --passed: #4f97d6; --waiting: #47566b; --dropped: #9c6440; } }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; scroll-padding-top: 1rem; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', sans-serif; }
.sheet { max-width: 1180px; margin: 0 auto; padding: 2rem clamp(1rem, 3vw, 2rem) 4rem; }
a { color: var(--link); text-decoration: none; }
a:hover { text-decoration: underline; }
h1 { margin: 0; font-size: 1.9rem; line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 0 0 .9rem; font-size: 1.3rem; }
h3 { margin: 0 0 .5rem; font-size: 1rem; }
h4 { margin: .9rem 0 .3rem; font-size: .85rem; color: var(--soft); }
small, .soft { color: var(--soft); }
small { font-size: .8rem; }
sub { font-size: .7em; line-height: 0; }
code { font: .85em ui-monospace, 'Cascadia Mono', Menlo, 'Liberation Mono', monospace;
  overflow-wrap: anywhere; }
.bar { text-decoration: overline; }
section, .figures { margin-top: 2.6rem; }
.top { display: flex; flex-wrap: wrap; align-items: flex-end; justify-content: space-between; gap: 1rem; }
.top p { margin: .3rem 0 0; color: var(--soft); }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; margin-top: 1.2rem; padding-bottom: .6rem;
  border-bottom: 1px solid var(--line); font-size: .9rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: .8rem;
  margin: 1.4rem 0 0; padding: 0; list-style: none; }
.tiles li { padding: .7rem 1rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; }
.tiles b { display: block; font-size: 1.5rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.tiles span { color: var(--soft); font-size: .85rem; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr));
  gap: 1rem; align-items: stretch; }
.columns > div, .panel, .figures figure { padding: 1rem 1.2rem; background: var(--card);
  border: 1px solid var(--line); border-radius: 12px; }
dl { display: grid; grid-template-columns: minmax(8.5rem, max-content) 1fr; gap: .25rem 1.2rem; margin: 0; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
blockquote { margin: .9rem 0 0; padding: .3rem .9rem; border-left: 3px solid var(--line);
  overflow-wrap: anywhere; white-space: pre-line; }
.verdict { margin: 0 0 .7rem; font-weight: 600; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { font-weight: 400; text-align: left; vertical-align: top; }
thead th { color: var(--soft); font-size: .85rem; vertical-align: bottom; }
td { vertical-align: top; }
.meter { display: flex; height: .7rem; overflow: hidden; background: var(--faint); border-radius: 3px; }
.meter i, .key { display: block; background: var(--passed); }
.meter .waiting, .key.waiting { background: var(--waiting); }
.meter .dropped, .key.dropped { background: var(--dropped); }
.key { display: inline-block; width: .8rem; height: .7rem; margin: 0 .1rem 0 .5rem; border-radius: 2px; }
.spending td, .spending th { padding: .22rem 0 .22rem .9rem; text-align: right; white-space: nowrap; }
.spending tr > :first-child { padding-left: 0; text-align: left; color: var(--soft); }
.spending td:last-child { width: 34%; vertical-align: middle; }
.funnel { background: var(--card); border: 1px solid var(--line); border-radius: 12px; border-spacing: 0;
  border-collapse: separate; }
.funnel th, .funnel td { padding: .5rem .7rem; text-align: right; }
.funnel tbody tr > * { border-top: 1px solid var(--line); }
.funnel th:first-child { width: 30%; padding-left: 1.2rem; text-align: left; }
.funnel td:last-child, .funnel th:last-child { padding-right: 1.2rem; white-space: nowrap; }
.funnel tbody td:nth-child(2) { width: 38%; text-align: left; }
.funnel .meter { margin-top: .4rem; }
.funnel small { display: block; }
.caption { margin: .6rem 0 0; color: var(--soft); font-size: .85rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 500px), 1fr)); gap: 1rem;
  align-items: stretch; grid-auto-flow: dense; }
.card:has(details[open]) { grid-column: 1 / -1; }
.card { display: flex; flex-direction: column; padding: 1rem 1.2rem;
  background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  break-inside: avoid; min-width: 0; }
.card:target, .more:target { outline: 2px solid var(--link); }
.card header { display: flex; flex-wrap: wrap; align-items: baseline; gap: .1rem .7rem; }
.card h3 { margin: 0; font-size: 1.35rem; overflow-wrap: anywhere; }
.rank { min-width: 1.7rem; padding: 0 .4rem; background: var(--faint); border-radius: 6px; text-align: center;
  font-variant-numeric: tabular-nums; }
.score { margin-left: auto; color: var(--soft); font-size: .85rem; font-variant-numeric: tabular-nums; }
.badges { display: flex; flex-wrap: wrap; gap: .3rem; min-height: 1.5rem; margin: .45rem 0 .6rem; padding: 0;
  list-style: none; }
.badges li { padding: 0 .55rem; border: 1px solid var(--line); border-radius: 1em; font-size: .8rem;
  color: var(--soft); overflow-wrap: anywhere; }
.badges .good { color: var(--good); border-color: currentColor; }
.badges .bad { color: var(--bad); border-color: currentColor; }
.glance { display: grid; grid-template-columns: 210px 1fr; gap: 1.2rem; }
.glance > * { min-width: 0; }
.glance figure { margin: 0; }
.glance figure svg { display: block; width: 100%; height: auto; }
figcaption { color: var(--soft); font-size: .8rem; line-height: 1.4; }
.values th, .values td { padding: .25rem 0; border-bottom: 1px solid var(--faint); }
.values { max-width: 32rem; }
.values td { padding-left: .8rem; text-align: right; white-space: nowrap; }
.values th small { display: block; line-height: 1.2; }
.grounds { margin: .7rem 0 0; font-size: .9rem; }
.grounds:empty { display: none; }
.misses { margin: .5rem 0 0; padding-left: 1.1rem; color: var(--bad); font-size: .9rem; }
.from { margin: .8rem 0 0; font-size: .9rem; overflow-wrap: anywhere; }
.transition { max-height: 10.2em; margin: .4rem 0 0; overflow: auto; font-size: .9rem; }
details { margin-top: auto; padding-top: .8rem; }
summary { color: var(--link); cursor: pointer; font-size: .9rem; }
.provenance { columns: 3 300px; margin-top: .8rem; column-gap: 1.6rem; font-size: .85rem; }
.provenance > div { break-inside: avoid; padding-bottom: .9rem; }
.provenance h4 { margin-top: 0; }
.provenance dl { grid-template-columns: minmax(5.5rem, max-content) 1fr; gap: .1rem .8rem; }
pre { max-height: 18em; margin: 0; padding: .6rem .8rem; overflow: auto; background: var(--faint);
  border-radius: 6px; font: .78rem/1.45 ui-monospace, 'Cascadia Mono', Menlo, 'Liberation Mono', monospace;
  white-space: pre-wrap; overflow-wrap: anywhere; user-select: all; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); gap: 1rem;
  margin-top: 0; }
.figures figure { margin: 0; max-width: 720px; break-inside: avoid; }
.plot { display: block; width: 100%; height: auto; fill: currentColor; color: var(--ink); }
@media (prefers-color-scheme: dark) { .plot { filter: brightness(1.25); } }
.plot * { stroke-linejoin: round; stroke-linecap: butt; }
.figures figcaption { margin-top: .6rem; font-size: .85rem; }
.wide { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 12px; }
.ranking { font-size: .9rem; }
.ranking th, .ranking td { padding: .35rem .7rem; white-space: nowrap; text-align: right; }
.ranking th small { display: block; }
.ranking tbody tr > * { border-top: 1px solid var(--line); }
.ranking :is(th, td):nth-child(2), .ranking :is(th, td):nth-child(3),
  .ranking :is(th, td):nth-last-child(-n+2) { text-align: left; }
.more { padding: .5rem 1.2rem; background: var(--card); border: 1px solid var(--line); }
.more + .more { border-top: 0; }
.more > summary { display: grid; grid-template-columns: 2.5rem 1.2fr 1fr 1fr 1.4fr; gap: .8rem;
  color: inherit; list-style-position: outside; }
.more details { margin-top: 0; }
.more > div > :not(details) { max-width: 760px; }
.more > div { padding: .4rem 0 .8rem; }
footer { margin-top: 3rem; padding-top: .8rem; border-top: 1px solid var(--line); color: var(--soft);
  font-size: .85rem; }
@media (max-width: 560px) { .glance { grid-template-columns: 1fr; } .funnel th small { display: none; }
  .more > summary { grid-template-columns: 2rem 1fr 1fr; } dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .4rem; } }
@media print { :root { --page: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #bbb; --faint: #eee;
    color-scheme: light; }
  @page { margin: 14mm; }
  html { font-size: 10.5px; }
  body { font-size: 1rem; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .sheet { max-width: none; padding: 0; } nav, .more, .only-on-screen { display: none; }
  section { margin-top: 1.4rem; } .transition { max-height: none; } .columns, .tiles { gap: .5rem; }
  .tiles { grid-template-columns: repeat(5, 1fr); } .columns, .figures { grid-template-columns: 1fr 1fr; }
  .cards { grid-template-columns: 1fr 1fr; gap: .5rem; } .glance { grid-template-columns: 130px 1fr; }
  .card, .columns > div, .funnel tr { break-inside: avoid; } h2 { break-after: avoid; } }
"""
