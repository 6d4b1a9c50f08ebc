"""How the pages look: one column on a telephone, reading and deciding side by side on a screen, light and dark."""

from typing import Final

STYLE: Final = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; --line: #8886; --soft: #8881;
    --bad: #b3261e; --good: #1b6e3c; --act: #1a56b0; }
@media (prefers-color-scheme: dark) { :root { --bad: #ff8a80; --good: #7fd6a0; --act: #8ab4f8; } }
*, ::before, ::after { box-sizing: border-box; }
body { margin: 0; }
header { display: flex; gap: 1rem; align-items: center; padding: .5rem 1.25rem;
    border-bottom: 1px solid var(--line); }
header .home { font-weight: 600; color: inherit; text-decoration: none; padding: .5rem 0; }
header .who { margin-left: auto; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; min-width: 0; }
header form { flex: none; }
main { max-width: 72rem; margin: 0 auto; padding: 1rem 1.25rem 4rem; overflow-wrap: anywhere; }
main.narrow, .narrow { max-width: 24rem; margin: 8vh auto 0; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .75rem 0; }
h2 { font-size: 1.0625rem; margin: 0 0 .5rem; }
h3 { font-size: 1rem; margin: 1rem 0 .25rem; }
p { margin: .5rem 0; }
a { color: var(--act); }
a:focus-visible, button:focus-visible, input:focus-visible, select:focus-visible, textarea:focus-visible,
summary:focus-visible, .wide:focus-visible { outline: 2px solid var(--act); outline-offset: 1px; }
.back { display: inline-block; padding: .25rem 0; }
.facts { color: GrayText; margin: 0 0 1rem; font-size: .9375rem; }
.tag { display: inline-block; border: 1px solid; border-radius: 1rem; padding: 0 .6rem; margin: 0 .35rem .35rem 0;
    font-size: .8125rem; }
.tag.late, .tag.urgent { color: var(--bad); }
.card { border: 1px solid var(--line); border-radius: .5rem; padding: 1rem; margin: 0 0 1rem; min-width: 0; }
.text { white-space: pre-wrap; max-height: 24rem; overflow: auto; }
.sign { border: 1px solid var(--bad); color: var(--bad); border-radius: .25rem; font-size: .6875rem; padding: 0 .2rem;
    margin: 0 .1rem; }
.rest, .none, .hint { color: GrayText; }
.hint { display: block; font-size: .875rem; font-weight: 400; }
.mask { border: 1px dashed; border-radius: .25rem; padding: 0 .35rem; color: GrayText; }
.number { font-variant-numeric: tabular-nums; }
dl { margin: 0; }
dl > div { display: grid; grid-template-columns: minmax(6rem, 11rem) minmax(0, 1fr); gap: 0 1rem; padding: .25rem 0; }
dl dl { border-left: 2px solid var(--line); padding-left: .75rem; }
dl dl > div { grid-template-columns: minmax(4rem, 8rem) minmax(0, 1fr); }
dl dl dl > div, .decide dl > div { grid-template-columns: minmax(0, 1fr); }
dt { color: GrayText; }
dd { margin: 0; min-width: 0; }
ul { margin: 0; padding-left: 1.25rem; }
table { border-collapse: collapse; font-size: .9375rem; min-width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .75rem .3rem 0; border-bottom: 1px solid var(--line);
    min-width: 5rem; max-width: 24rem; }
th { font-weight: 400; color: GrayText; }
.wide { overflow-x: auto; }
pre { margin: 0; overflow: auto; max-height: 24rem; font-size: .875rem; white-space: pre-wrap; }
summary { cursor: pointer; padding: .25rem 0; font-weight: 600; }
details > :not(summary) { margin-top: .5rem; }
.notice { border: 1px solid var(--line); border-left-width: .4rem; border-radius: .5rem; padding: .6rem 1rem;
    margin: 0 0 1rem; }
.notice.bad { border-color: var(--bad); }
.notice.good { border-color: var(--good); }
.notice p { margin: .15rem 0; }
label, legend { display: block; font-weight: 600; }
fieldset { border: 1px solid var(--line); border-radius: .5rem; margin: 0 0 1rem; padding: .5rem 1rem 0;
    min-width: 0; }
.field { margin: 0 0 1rem; }
.field .wrong { display: block; color: var(--bad); font-weight: 400; }
.ticks label { font-weight: 400; padding: .35rem 0; }
input, select, textarea, button { font: inherit; color: inherit; }
input:not([type=checkbox]), select, textarea { width: 100%; padding: .6rem .75rem; border: 1px solid var(--line);
    border-radius: .5rem; background: Field; color: FieldText; }
textarea { min-height: 6rem; resize: vertical; }
textarea.code { font-family: ui-monospace, monospace; font-size: .875rem; }
[aria-invalid=true] { border-color: var(--bad); }
button, .button { display: block; width: 100%; padding: .7rem 1rem; margin: 0 0 .6rem; border: 1px solid;
    cursor: pointer; border-radius: .5rem; background: var(--soft); text-align: left; text-decoration: none;
    color: inherit; overflow-wrap: anywhere; }
button:hover, .button:hover { outline: 1px solid; }
button.quiet { width: auto; margin: 0; padding: .4rem .75rem; border-color: var(--line); background: none; }
button[hidden] { display: none; }
.row { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; }
.row form { margin: 0; }
.list { list-style: none; padding: 0; margin: 0; }
.list > li { border-top: 1px solid var(--line); }
.list > li > * { display: block; padding: .75rem 0; color: inherit; text-decoration: none; }
.list a:hover .title { text-decoration: underline; }
.list .title { font-weight: 600; display: block; }
.list .facts { margin: .15rem 0 0; display: block; }
.jump { display: block; margin: 0 0 1rem; }
@media (min-width: 60rem) {
    .two { display: grid; grid-template-columns: minmax(0, 1fr) 24rem; gap: 1.5rem; align-items: start; }
    .two > .short { position: sticky; top: 1rem; }
    .jump { display: none; }
}
@media (max-width: 30rem) {
    dl > div, dl dl > div { grid-template-columns: minmax(0, 1fr); }
    dl dl { margin-top: .25rem; }
}
"""
