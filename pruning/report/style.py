"""The report's style sheet: light, dark, phone and paper."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fcfcfa; --card: #fff; --ink: #22252a; --soft: #5f6670; --line: #dfe1e4; --bar: #c3c8cf;
  --c0: #1f6fb5; --c1: #c8620a; --c2: #1d8468; --c3: #a8417f; --c4: #6a57b8; --c5: #8a7000;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --paper: #15171a; --card: #1c1f23; --ink: #e3e5e8; --soft: #9aa2ac; --line: #32363c; --bar: #545b65;
    --c0: #5aa9ea; --c1: #f0964a; --c2: #4fc2a0; --c3: #e283bb; --c4: #a596ee; --c5: #cdb43c;
  }
}
.c0 { --c: var(--c0) } .c1 { --c: var(--c1) } .c2 { --c: var(--c2) }
.c3 { --c: var(--c3) } .c4 { --c: var(--c4) } .c5 { --c: var(--c5) }
* { box-sizing: border-box }
html { -webkit-text-size-adjust: 100% }
body {
  margin: 0 auto; max-width: 62rem; padding: 1.5rem clamp(.9rem, 4vw, 2.5rem) 4rem;
  background: var(--paper); color: var(--ink); overflow-wrap: anywhere;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
  font-variant-numeric: tabular-nums;
}
h1 { font-size: 1.7rem; line-height: 1.2; margin: .5rem 0 .2rem }
h2 { font-size: 1.25rem; margin: 3rem 0 .6rem; padding-top: .9rem; border-top: 1px solid var(--line) }
h3 { font-size: 1.1rem; margin: 1.9rem 0 .3rem }
h4 { font-size: 1rem; margin: 1.3rem 0 .3rem }
p { margin: .4rem 0; max-width: 46rem }
a { color: var(--c0) }
nav { display: flex; flex-wrap: wrap; gap: .1rem 1.1rem; margin: .8rem 0 }
.soft, .how, .label small, .unit, .axis, dt { color: var(--soft) }
.how, small, .unit, .axis { font-size: .86em }
.warn { border-left: 3px solid var(--c1); padding: .1rem .8rem; margin: .8rem 0 }
.chip { white-space: nowrap }
.chip::before {
  content: ""; display: inline-block; width: .7em; height: .7em; margin-right: .4em;
  border-radius: 2px; background: var(--c);
}
.before-chip { --c: var(--bar) }
.legend { display: flex; flex-wrap: wrap; gap: .1rem 1.1rem; font-size: .86em }

dl { margin: .8rem 0; border-bottom: 1px solid var(--line) }
dl > div { display: grid; grid-template-columns: 11rem 1fr; gap: 0 1rem; padding: .28rem 0; border-top: 1px solid var(--line) }
dd { margin: 0 }

.row { display: grid; grid-template-columns: 12rem 1fr; gap: 0 1rem; align-items: end; break-inside: avoid }
.row + .row { margin-top: .3rem }
.label { line-height: 1.25; text-align: right }
.label small { display: block }
.plot { position: relative; min-width: 0 }
.figure { margin: .9rem 0 }
svg { display: block; width: 100%; height: 2.7rem; border-bottom: 1px solid var(--soft) }
svg.tall { height: 10rem }
svg path { vector-effect: non-scaling-stroke; fill: none }
svg .all { fill: var(--bar) }
svg .kept { fill: var(--c) }
svg .band { fill: var(--c); opacity: .13 }
svg .grid { stroke: var(--line); stroke-width: 1 }
svg .cut { stroke: var(--c); stroke-width: 1.5; stroke-dasharray: 4 3 }
svg .median { stroke: var(--ink); stroke-width: 1.5 }
.track { position: relative; height: 1.15rem; border-bottom: 1px solid var(--line) }
.span { position: absolute; top: .3rem; height: .5rem; border-radius: .25rem; background: var(--c) }
.axis { position: relative; height: 1.5rem; white-space: nowrap }
.axis span { position: absolute; transform: translateX(-50%) }
.axis .begin { transform: none }
.axis .end { transform: translateX(-100%) }

.quantiles { display: flex; flex-wrap: wrap; gap: .3rem 1.4rem; margin: .8rem 0 }
.quantiles small { display: block; color: var(--soft) }
.quantiles b { font-weight: 600 }

table { border-collapse: collapse; width: 100%; margin: .8rem 0 }
th, td { padding: .3rem .7rem .3rem 0; text-align: left; vertical-align: top; border-top: 1px solid var(--line) }
thead th { border-top: 0; color: var(--soft); font-weight: 500; font-size: .86em; vertical-align: bottom }
tbody th { font-weight: 600 }
tr { break-inside: avoid }
/* A shade at the edge that hides more: the first two layers scroll along and cover it at the ends. */
.scroll {
  overflow-x: auto; overflow-wrap: normal;
  background:
    linear-gradient(90deg, var(--paper) 40%, transparent) left / 2.4rem 100% no-repeat local,
    linear-gradient(270deg, var(--paper) 40%, transparent) right / 2.4rem 100% no-repeat local,
    linear-gradient(90deg, var(--bar), transparent) left / .8rem 100% no-repeat scroll,
    linear-gradient(270deg, var(--bar), transparent) right / .8rem 100% no-repeat scroll;
}
.numbers td, thead th { white-space: nowrap; overflow-wrap: normal }
.numbers th:not(:first-child), .numbers td { text-align: right; padding: .3rem 0 .3rem .7rem }
.composition th:first-child { width: 22% }
.composition td { width: 39% }
.bar { display: grid; grid-template-columns: 1fr 9.5rem; gap: 0 .6rem; align-items: center; line-height: 1.3 }
.bar span { display: block; height: .55rem; border-radius: 0 2px 2px 0 }
.before { background: var(--bar) }
.after { background: var(--c) }
td small, th small { display: block; color: var(--soft); font-weight: 400 }

.heat { width: auto; border-collapse: separate; border-spacing: 2px }
.heat th, .heat td { border-top: 0; padding: .3rem .6rem; overflow-wrap: normal }
.heat thead th { vertical-align: bottom; white-space: normal }
.heat tbody th { font-weight: 500; padding-left: 0 }
.heat td { text-align: center; min-width: 4.2rem; border-radius: 3px; background: color-mix(in srgb, var(--c, transparent) var(--heat, 0%), transparent) }
.heat td small { color: var(--ink); opacity: .75; white-space: nowrap }

.maps { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: 1.2rem; margin: .9rem 0 }
figure { margin: 0; break-inside: avoid; min-width: 0 }
figcaption { display: flex; justify-content: space-between; gap: .6rem; font-size: .86em }
figcaption span { color: var(--soft) }
figcaption b { white-space: nowrap; font-weight: 600 }
svg.map { height: auto; aspect-ratio: 1; border: 1px solid var(--line) }
svg.map path { fill: var(--c0) }

.curves svg { height: auto; min-width: 34rem; max-width: 45rem }
.curves rect { fill: none }
.curves text { fill: var(--ink) }
.curves line { stroke: var(--line) }
.curves [stroke="#000000"] { stroke: var(--ink) }

.controls { display: flex; flex-wrap: wrap; gap: .5rem 1.2rem; align-items: center; margin: .8rem 0 }
.controls[hidden] { display: none }
.controls label { color: var(--soft); font-size: .92em }
input, select { font: inherit; color: var(--ink); background: var(--card); border: 1px solid var(--line); border-radius: 5px; padding: .3rem .5rem; max-width: 100% }
:is(input, select):focus-visible { outline: 2px solid var(--c0); outline-offset: 1px }
#search-documents { max-height: 75vh; overflow-y: auto; border-top: 1px solid var(--line); border-bottom: 1px solid var(--line); padding: 0 .3rem }

article { margin: .7rem 0; padding: .55rem .85rem .7rem; background: var(--card); border: 1px solid var(--line); border-radius: 6px; break-inside: avoid }
article header { display: flex; flex-wrap: wrap; gap: 0 .9rem; color: var(--soft); font-size: .86em }
article header > :first-child b { font-size: 1.1em }
article header b { color: var(--ink); font-weight: 600; white-space: nowrap }
article[hidden] { display: none }
.text { white-space: pre-wrap; unicode-bidi: isolate; margin-top: .35rem; max-width: 50rem; font-size: .94em }
.more { color: var(--soft); font-style: italic }

@media (max-width: 40rem) {
  body { font-size: 14px }
  dl > div { grid-template-columns: 7.2rem 1fr; gap: 0 .7rem }
  .row { grid-template-columns: 1fr }
  .label { text-align: left; margin-top: .35rem }
  .label small { display: inline }
  .label small::before { content: " · " }
  svg.tall { height: 7.5rem }
  .composition tr { display: grid; grid-template-columns: 1fr 1fr; border-top: 1px solid var(--line) }
  .composition thead tr, .composition th, .composition td { border-top: 0 }
  .composition tr > :first-child { grid-column: 1 / -1; padding-bottom: 0 }
  .composition tr > * { width: auto }
  .composition th:first-child { width: auto }
  .composition th small { display: inline; margin-left: .8em }
  .bar { grid-template-columns: 1fr; margin-bottom: .25rem }
  .maps { grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: .9rem }
  .controls label { flex: 1 1 100% }
  .controls input { width: 100% }
  #search-documents { max-height: 65vh }
}
@page { margin: 1.5cm }
@media print {
  body { max-width: none; padding: 0; background: none; font-size: 10pt }
  nav, .controls, #search-documents { display: none }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact }
  h2, h3, h4, h3 + p, .how { break-after: avoid }
  .scroll { overflow: visible }
  .heat, .numbers { width: 100%; table-layout: fixed; font-size: .8em; break-inside: avoid }
  :is(.heat, .numbers) * { white-space: normal !important; min-width: 0 !important; overflow-wrap: anywhere !important }
  .curves svg { min-width: 0 }
}
"""
