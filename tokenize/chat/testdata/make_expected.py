"""Writes expected.json (templates/*.jinja over a few chats) and snippets.json (small sources) by transformers.

Requires: transformers==5.23.0 jinja2==3.1.6 (python 3.11). Run in this folder: python make_expected.py
"""
import datetime
import glob
import json
import os

import jinja2
import transformers
import transformers.utils.chat_template_utils as u

NOW = datetime.datetime(2026, 7, 4, 9, 5, 3)


class Clock(datetime.datetime):
    @classmethod
    def now(cls):
        return NOW


u.datetime = Clock


def turn(role, content):
    return {"role": role, "content": content}


CHATS = {
    "user": ([turn("user", "Hello, who are you?")], True, {}),
    "turns": (
        [turn("system", "  Be brief.\n"), turn("user", "What is 2+2?"), turn("assistant", "It is 4."), turn("user", "\n And 3+3?  ")],
        True,
        {},
    ),
    "closed": (
        [turn("user", "Say <|endoftext|> & </s> 'quoted' \"x\" {{ 7*7 }}"), turn("assistant", "h\u00e9llo \u4e16\u754c \U0001f642\n\nbye")],
        False,
        {},
    ),
    "think": (
        [turn("user", "a"), turn("assistant", "<think>\nhm\n</think>\n\nb"), turn("user", "c"), turn("assistant", "d")],
        True,
        {"enable_thinking": False},
    ),
    "order": ([turn("assistant", "I begin"), turn("user", "odd")], True, {}),
}

SNIPPETS = r"""
{{ 1 }}{{ 1.0 }}{{ 1e20 }}{{ 1e-7 }}{{ 123456789012345680.0 }}{{ 0.1+0.2 }}{{ true }}{{ None }}{{ nothing }}
{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % -3 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 7.5 // 2 }} {{ -7.5 % 2 }} {{ 0x1F }} {{ 1_000 }}
{{ 2 ** 3 ** 2 }} {{ -2 ** 2 }} {{ 1 + 2 * 3 - 4 / 2 }} {{ 10 - 3 - 2 }} {{ not true or true }} {{ 1 ~ 2 + 3 }}
{{ 'a' + 'b' * 3 }} {{ [1] * 2 + [2] }} {{ 'x' 'y' "z" }} {{ "a\tb\n\\\x41\u00e9\'\q" }}
{{ [1, 'a', None, 1.5, true, {'k': "it's"}, (1,), (), "q\"'"] }}
{{ {'b': 1, 'a': [2], 3: 'x', none: 1} }} {{ {1: 'a', true: 'b', 1.0: 'c'} }}
{{ 1 < 2 < 3 }} {{ 1 < 2 > 3 }} {{ 'a' < 'b' }} {{ [1,2] < [1,3] }} {{ 1 == 1.0 }} {{ '1' == 1 }} {{ [1] == (1,) }} {{ none == none }}
{{ 2 in [1,2] }} {{ 'b' in 'abc' }} {{ 'k' in {'k': 1} }} {{ 3 not in (1,2) }} {{ 'x' in nothing }} {{ nothing in [1] }}
{{ 1 if false }}|{{ 'y' if 1 else 'n' }}|{{ ('a' if false) is undefined }}|{{ 'a' if false else 'b' if false else 'c' }}
{{ nothing or 'd' }} {{ 0 or '' or 'e' }} {{ 1 and 2 }} {{ [] and 2 }} {{ not nothing }}
{{ 'hello'[1] }} {{ 'hello'[-1] }} {{ 'hello'[1:3] }} {{ 'hello'[::-1] }} {{ 'hello'[::2] }} {{ [1,2,3][-2:] }} {{ [1,2,3][5:] }} {{ (1,2,3)[:1] }} {{ 'hé世'[1:] }}
{{ [1,2][5] }}|{{ {'a':1}.b }}|{{ 'x'.foo }}|{{ none.foo }}|{{ 5['a'] }}
{{ nothing.foo }}
{{ nothing() }}
{{ nothing + 1 }}
{{ 'a' + 1 }}
{{ 'a' + none }}
{{ none | length }}
{{ [1,2] + 'a' }}
{{ 1 < 'a' }}
{{ 1 in 5 }}
{{ 1 in 'abc' }}
{{ 1 / 0 }}
{{ 1 // 0 }}
{{ {}[[1]] }}
{{ {[1]: 2} }}
{% for x in none %}{% endfor %}
{% for x in 5 %}{% endfor %}
{% for x in nothing %}a{% else %}none{% endfor %}
{% for a, b in [[1,2],[3,4]] %}{{ a }}-{{ b }};{% endfor %}{% for k, v in {'x':1,'y':2}.items() %}{{ k }}={{ v }};{% endfor %}{% for c in 'ab' %}{{ c }}.{% endfor %}{% for k in {'q':1} %}{{ k }}{% endfor %}
{% for a, b in [[1,2,3]] %}{% endfor %}
{% for (a, (b, c)) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}
{% for x in [1,2,3,4] if x is even %}{{ loop.index }}/{{ loop.length }}:{{ x }} {% endfor %}
{% for x in [1,2,3] %}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.cycle('a','b') }}{{ loop.changed(x // 2) }};{% endfor %}
{% for x in range(3) recursive %}{{ x }}{% if x == 2 and loop.depth < 3 %}[{{ loop([1,2]) }}]{% endif %}{% endfor %}
{% for x in range(10) %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 5 %}{% break %}{% endif %}{{ x }}{% endfor %}
{% for x in range(2) %}{% for y in range(3) %}{% if y == 1 %}{% break %}{% endif %}{{ x }}{{ y }} {% endfor %}{{ loop.index }}{% endfor %}
{% set x = 1 %}{% for i in [1,2] %}{% set x = x + i %}{{ x }}{% endfor %}{{ x }}
{% set ns = namespace(x=1) %}{% for i in [1,2] %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}{{ ns.y }}
{% set a.b = 1 %}
{% set ns = namespace(_x=1) %}
{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set c = 1, %}{{ c }}
{% set x %}a{{ 1 }}{% endset %}{{ x }}{% set y | upper %}abc{% endset %}{{ y }}
{% if 0 %}a{% elif 1 %}b{% else %}c{% endif %}{% if nothing %}x{% endif %}{% if true %}{% set z = 3 %}{% endif %}{{ z }}
{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a }}
{% macro m(a, b=2, c=a) %}{{ a }}{{ b }}{{ c }}|{% endmacro %}{{ m(1) }}{{ m(1, c=5) }}{{ m(b=3, a=1) }}{{ m() }}
{% macro m(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, k=4) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}
{% macro m(x) %}<{{ caller(x) }}>{% endmacro %}{% call(y) m(5) %}got {{ y }}{% endcall %}
{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(4) }}
{% macro a() %}{{ v }}{% endmacro %}{% set v = 'late' %}{{ a() }}
{% filter upper %}abc{{ 'd' }}{% endfilter %}
{% filter replace('a', 'b') | upper %}aaa{% endfilter %}
{% raw %}{{ x }}{% if %}{% endraw %} {%- raw -%}  {{ y }} {%- endraw -%} z
a {#- c -#} b {# d #} e
a  {%- if true -%}  b  {%- endif %}  c
   {% if true %}   x
   {% endif %}   y
a {%+ if true %} b {% endif +%}
{{ 'a' -}}    b {{- 'c' }}   d
{% if true %}

x{% endif %}
{%- for i in [1, 2] %}

  {{ i }}
{%- endfor %}
{{ ' a b '.strip() }}|{{ 'xxaxx'.strip('x') }}|{{ ' a '.lstrip() }}|{{ ' a '.rstrip() }}|{{ 'a\u00a0\u2003'.strip() }}|{{ '\n\n'.strip('\n') }}
{{ 'a,b,,c'.split(',') }} {{ ' a  b '.split() }} {{ 'a,b,c'.split(',', 1) }} {{ 'a b c'.rsplit(' ', 1) }} {{ 'a b c d'.split(none, 2) }} {{ 'a</think>b'.split('</think>')[-1] }} {{ ''.split() }} {{ ''.split(',') }}
{{ 'abc'.startswith('a') }} {{ 'abc'.endswith(('x', 'c')) }} {{ 'abc'.startswith('b', 1) }} {{ 'abcabc'.find('c') }} {{ 'abcabc'.rfind('c') }} {{ 'abc'.find('z') }} {{ 'abcabc'.count('bc') }} {{ 'héé'.find('é', 2) }}
{{ 'abc'.index('z') }}
{{ 'aXb'.upper() }} {{ 'aXb'.lower() }} {{ 'hello world-foo it\'s'.title() }} {{ 'hELLO'.capitalize() }} {{ 'aB'.swapcase() }} {{ 'ß'.upper() }}
{{ 'aaa'.replace('a', 'b', 2) }} {{ 'abc'.replace('', '-') }} {{ 'a-b'.partition('-') }} {{ 'a-b-c'.rpartition('-') }} {{ 'ab'.partition('-') }} {{ 'abc'.removeprefix('a') }} {{ 'abc'.removesuffix('c') }}
{{ '12'.isdigit() }} {{ 'ab'.isalpha() }} {{ ' '.isspace() }} {{ ''.isspace() }} {{ 'Ab'.isupper() }} {{ 'ab1'.islower() }} {{ 'a\nb\r\nc'.splitlines() }} {{ ', '.join(['a','b']) }} {{ '7'.zfill(3) }} {{ 'a'.ljust(3, '.') }} {{ 'a'.rjust(3) }}
{{ '{} {1} {x} {{}}'.format('a', 'b', x=1) if false else '{0} {1} {x} {{}}'.format('a', 'b', x=1) }}
{{ '%s-%d-%5.2f-%r-%%-%05d-%x' % ('a', 3.7, 2.345, 'b', 42, 255) }} {{ '%s' % 'x' }} {{ '%s' % [1] }} {{ '%(a)s' % {'a': 1} }} {{ '%10s|%-5s|' % ('a', 'b') }} {{ "%.3g" % 3.14159 }}
{{ '%s %s' % 'a' }}
{{ 'a' % 1 }}
{{ {'a': 1}.get('a') }} {{ {'a': 1}.get('b') }} {{ {'a': 1}.get('b', 2) }} {{ {'a': 1, 'b': 2}.keys() | list }} {{ {'a': 1}.values() | list }} {{ {'items': 5}.items is callable }} {{ {'items': 5}['items'] }} {{ {'x': {'y': 1}}.x.y }}
{{ [3,1,2] | sort }} {{ ['b','A','c'] | sort }} {{ ['b','A'] | sort(case_sensitive=true) }} {{ [1,2,3] | sort(reverse=true) }} {{ [{'a':2},{'a':1}] | sort(attribute='a') }} {{ {'b':1,'A':2} | dictsort }} {{ {'b':1,'a':2} | dictsort(by='value', reverse=true) }}
{{ [1,2,2,3] | unique | list }} {{ ['a','A'] | unique | list }} {{ [1,2,3,4,5] | batch(2) | list }} {{ [1,2,3] | batch(2, 0) | list }} {{ range(7) | slice(3) | list }} {{ [1,2,3] | sum }} {{ [{'v':1},{'v':2}] | sum(attribute='v', start=10) }} {{ [1,5,3] | max }} {{ ['b','A'] | min }} {{ [] | max }}|
{{ ['a','b'] | map('upper') | join('-') }} {{ [{'n':'x'},{'n':'y'}] | map(attribute='n') | list }} {{ [{'n':1},{}] | map(attribute='n', default=0) | list }} {{ [{'a':{'b':1}}] | map(attribute='a.b') | list }}
{{ [0,1,2,''] | select | list }} {{ [1,2,3] | select('odd') | list }} {{ [1,2,3] | reject('gt', 1) | list }} {{ [{'r':'user'},{'r':'sys'}] | selectattr('r', 'equalto', 'user') | list }} {{ [{'t':1},{'t':none},{}] | selectattr('t') | list }} {{ [{'t':1},{}] | rejectattr('t', 'defined') | list }} {{ none | selectattr('x') | list }}
{{ [{'g':'b','v':1},{'g':'a','v':2},{'g':'b','v':3}] | groupby('g') }}
{{ 'abc' | first }} {{ [1,2] | last }} {{ [] | first }}| {{ 'abc' | length }} {{ {'a':1} | count }} {{ 'abc' | reverse }} {{ [1,2] | reverse | list }} {{ 'abc' | list }} {{ nothing | length }} {{ nothing | list }}
{{ nothing | default('d') }} {{ '' | default('d') }}| {{ '' | d('d', true) }} {{ none | default('d') }} {{ nothing.x | default('d') }}
{{ ' x ' | trim }}| {{ 'xax' | trim('x') }} {{ 'hello world-foo' | title }} {{ 'HELLO it\'s' | capitalize }} {{ 'a b  c' | wordcount }} {{ 5 | string ~ 'x' }} {{ '<a & "b">' | e }} {{ '<' | safe }} {{ 'a' | upper | lower }}
{{ '3.7' | float }} {{ 'x' | float }} {{ '42' | int }} {{ '4.9' | int }} {{ 'x' | int(7) }} {{ '0x1f' | int(0, 16) }} {{ 3.99 | int }} {{ -3 | abs }} {{ 2.5 | round }} {{ 3.14159 | round(2) }} {{ 3.2 | round(method='ceil') }} {{ 3.7 | round(0, 'floor') }} {{ 3 | round }}
{{ 'a\nb\n\nc' | indent }}|{{ 'a\nb' | indent(2, true) }}|{{ 'a\n\nb' | indent(2, blank=true) }}|{{ 'a\nb\n' | indent('>') }}
{{ {'a': 1, 'b': [1, 2.0, none, true, "é\n\"<>&'"], 'c': {}} | tojson }} {{ [] | tojson }} {{ 'x\u007f\u2028' | tojson }} {{ {1: 2, none: 3, true: 4, 1.5: 5} | tojson }}
{{ {'a': [1, {'b': 2}], 'e': [], 'f': {}} | tojson(indent=2) }} {{ [1,2] | tojson(separators=(',', ':')) }} {{ {'b':1,'a':2} | tojson(sort_keys=true) }} {{ 'é🙂' | tojson(ensure_ascii=true) }} {{ [1] | tojson(indent=4) }}
{{ nothing | tojson }}
{{ {'a':1} | items | list }} {{ nothing | items | list }} {{ 'abc' | replace('b', 'x') }} {{ 'aaa' | replace('a', 'b', 1) }} {{ [1,2] | join }} {{ [{'a':1}] | join(',', attribute='a') }} {{ '%s' | format(3) }} {{ 'a' | attr('upper') is callable }}
{{ 1 is odd }} {{ 2 is even }} {{ 6 is divisibleby 3 }} {{ 'a' is string }} {{ 1 is number }} {{ true is number }} {{ true is integer }} {{ true is boolean }} {{ 1.0 is float }} {{ 1 is integer }} {{ {} is mapping }} {{ [] is sequence }} {{ '' is iterable }} {{ 5 is iterable }} {{ none is none }} {{ x is defined }} {{ x is not defined }} {{ x is undefined }} {{ range is callable }}
{{ 1 is eq 1 }} {{ 1 is ne 2 }} {{ 3 is gt 2 }} {{ 'a' is in ['a'] }} {{ 'A' is upper }} {{ 'a' is lower }} {{ true is true }} {{ 1 is true }} {{ false is false }} {{ none is sameas none }} {{ 1 is sameas(1) }} {{ not 1 is odd }} {{ 1 + 1 is even }}
{{ range(5) | list }} {{ range(1, 10, 3) | list }} {{ range(5, 0, -2) | list }} {{ dict(a=1, b=2) }} {{ dict([('x', 1)], y=2) }} {{ dict({'a': 1}) }}
{{ range(100001) }}
{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.next() }}{% set j = joiner(',') %}{{ j() }}{{ j() }}
{{ [1].append(2) }}
{{ {}.update({}) }}
{{ ''.__class__ }}
{{ ''['__class__'] }}
{{ raise_exception('no ' ~ 1) }}
{{ x | nofilter }}
{% if false %}{{ x | nofilter }}{% endif %}ok
{{ x is notest }}
{% unknown %}
{{ 1 +
{% if x %}
{% endif %}
{{ (1 }}
{{ 'a }}
{{ strftime_now('%Y-%m-%d %H:%M:%S %B %b %A %a %j %y %I %p %%') }} {{ strftime_now('%-d %B') }}
{{ (1, 2)[0] }}{{ [1, 2].0 }}{{ {'a': {'b': [5]}}['a'].b[0] }}{{ 'a' in ('a',) }}{{ ['a', 'b',] }}
{{ {'a': 1,} }}{{ "}}" }}{{ {'x': {'y': 1}} }}
{% generation %}g{% set q = 1 %}{% endgeneration %}{{ q }}
{{ 'é' | upper }}{{ 'ﬀ'.upper() }}{{ '世界' | length }}{{ '🙂a'[0] }}
{{ x.y if x is defined and x.y is defined else 'none' }}
{{ 'a' ~ none ~ nothing ~ 1.0 }} {{ [nothing] }} {{ '' ~ [1] }}
{{ '<b>' | e ~ '<i>' }} {{ ('<' | safe) + '<' }} {{ 'x' ~ ('<' | safe) ~ '&' }}
{% for m in [{'role': 'user', 'content': 'hi'}] %}{{ m.role }}{{ m['content'] }}{{ m.get('name', '-') }}{{ 'name' in m }}{{ m.name is defined }}{% endfor %}
{% set m = [1,2,3] %}{% set m = m[1:] %}{{ m }}{{ m | length - 1 }}{{ m[-1] if m else '' }}
{% break %}
{% for x in [1] %}{% macro k() %}{% break %}{% endmacro %}{% endfor %}
{{ loop }}
{{ 'a'if 1 else'b' }}{{ 1if 1else 2 }}
{{ 1.5 == 1.5 and 'yes' }} {{ (1 == 1) | string }} {{ true + 1 }} {{ '5' * 2 }} {{ 2 * '5' }} {{ -true }}
{{ [[1, 2], [3]] | map('length') | list }} {{ ['1', '2'] | map('int') | sum }} {{ [1, 2] | map('string') | join }} {{ ['a b', 'c'] | map('replace', ' ', '') | list }}
{% set x = {'a': 1} %}{% set y = dict(x, b=2) %}{{ y }}{{ x }}{{ dict(x, **{'c': 3}) }}
{{ [1,2,3] | join(', ') ~ '.' }} {{ (['a'] + ['b']) | join }} {{ [1, 2, 3][1:] | first }}
{{ 'abc'[1:][0] }}{{ 'abc'.upper()[0] }}{{ ('a' ~ 'b').upper() }}{{ ('a' | upper)[0] }}
{% for k, v in {'b': 1, 'a': 2} | dictsort %}{{ k }}{{ v }}{% endfor %}{% for k, v in [('a', 1)] %}{{ k }}{{ v }}{% endfor %}
{{ 'x' * -1 }}|{{ [] * 5 }}|{{ 'ab' * 0 }}|{{ 3 - -2 }}|{{ - 3 }}|{{ +3 }}
{{ 1 and nothing }}|{{ none is none and 'z' }}|{{ 'a' == 'a' != false }}
{{ 10 | string | length }}{{ 3.0 | int }}{{ 1e3 }}{{ 1.0e-10 }}{{ 100000000000000000000.0 }}
"""


def render(template, messages, gen, **kw):
    try:
        text, _ = u.render_jinja_template([messages], chat_template=template, add_generation_prompt=gen, **kw)
        return {"text": text[0]}
    except Exception as e:  # what is refused, and why
        return {"error": f"{type(e).__name__}: {e}"}


def main():
    origin = f"transformers {transformers.__version__}, jinja2 {jinja2.__version__}: render_jinja_template"
    out = {"origin": origin, "now": NOW.isoformat() + "Z", "chats": {}, "cases": []}
    for name, (messages, gen, kw) in CHATS.items():
        out["chats"][name] = {"messages": messages, "generation_prompt": gen, "vars": kw}
    for path in sorted(glob.glob("templates/*.jinja")):
        with open(path, encoding="utf-8", newline="") as f:
            source = f.read()
        for name, (messages, gen, kw) in CHATS.items():
            case = {"template": os.path.basename(path).removesuffix(".jinja"), "chat": name}
            out["cases"].append(case | render(source, messages, gen, bos_token="<s>", eos_token="</s>", **kw))
    with open("expected.json", "w", encoding="utf-8") as f:
        json.dump(out, f, ensure_ascii=False, indent=1)
    # A source begins at each line of SNIPPETS that starts no continuation of the one before.
    sources, block = [], ""
    for l in SNIPPETS.strip("\n").split("\n"):
        block = l if not block else block + "\n" + l
        opens = block.count("{% if") + block.count("{%+ if") + block.count("{%- if") + block.count("{%- for") - block.count("{% endif") - block.count("{%- endif") - block.count("{%- endfor")
        if opens > 0 and block.count("\n") < 4 and "{% if x %}" not in block and "{% if %}" not in block:
            continue
        sources.append(block)
        block = ""
    cases = [{"source": s} | render(s, [], False) for s in sources]
    with open("snippets.json", "w", encoding="utf-8") as f:
        json.dump({"origin": origin, "now": NOW.isoformat() + "Z", "cases": cases}, f, ensure_ascii=False, indent=1)
    print(len(out["cases"]), "renderings,", sum("error" in c for c in out["cases"]), "refused;", len(cases), "snippets,", sum("error" in c for c in cases), "refused")


main()
