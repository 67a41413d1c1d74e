"""Conversations, and small templates on points where template engines differ."""


def turns(*contents, system=None):
    messages = [] if system is None else [{"role": "system", "content": system}]
    roles = ["user", "assistant"]
    return messages + [{"role": roles[i % 2], "content": content} for i, content in enumerate(contents)]


QUESTION, ANSWER = "Why is drinking water so healthy?", "It keeps the body going: cells, blood and joints need it."
MORE, AGAIN = "How much a day?", "About two litres, more when it is hot."
LAST, END = "And tea?", "Tea counts too."
ODD = "\u001c\u0085 \ufeffx\u00a0\u2003"

CONVERSATIONS = {
    "question": turns(QUESTION),
    "one-turn": turns(QUESTION, ANSWER),
    "second-question": turns(QUESTION, ANSWER, MORE),
    "two-turns": turns(QUESTION, ANSWER, MORE, AGAIN),
    "three-turns": turns(QUESTION, ANSWER, MORE, AGAIN, LAST, END),
    "system-question": turns(QUESTION, system="You are a doctor."),
    "system-turn": turns(QUESTION, ANSWER, system="You are a doctor.\nBe brief."),
    "system-two-turns": turns(QUESTION, ANSWER, MORE, AGAIN, system="You are a doctor."),
    "system-three-questions": turns(QUESTION, ANSWER, MORE, AGAIN, LAST, system=" You are a doctor. "),
    "white-space": turns(" \n a  b\t\n", "\n\n  answer\n\nmore \n ", "\u00a0c\u2003", " d"),
    "odd-space": turns(ODD + "a" + ODD, ODD + "b" + ODD),
    "empty": turns("", ""),
    "unicode": turns("Gr\u00fc\u00dfe aus K\u00f6ln \U0001f468\u200d\U0001f469\u200d\U0001f467, \u4f60\u597d",
                     "\u4f60\u597d\uff01 \U0001f44d\U0001f3fd na\u00efve"),
    "joining": turns("a", ">>> b", "c", "|> d </"),
    "braces": turns("{{ 7 * 7 }} {% if x %} {# c #} 'q' \"r\" \\n", "{\"a\": [1, 2]}\n```js\nx = {}\n```"),
    "thinking": turns("2+2?", "<think>\nadd\n</think>\n\nFour.",
                      "3+3?", "<think>\n\n add again \n\n</think>\n\n\nSix."),
    "assistant-first": [{"role": "assistant", "content": "Hi."}, {"role": "user", "content": "Hello."}],
    "two-questions": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}],
    "late-system": turns("a", "b") + turns("c", system="s"),
}

LIST = {"l": ["a", "b", "c"], "d": {"x": 1, "y": "two"}, "s": " text ", "n": None, "t": True, "e": []}

SNIPPETS = [(source, LIST) for source in [
    # Scopes: a variable set in one turn of a loop is gone in the next, and after it.
    "{% for x in l %}{% if loop.first %}{% set y = x %}{% endif %}{{ y is defined }}{% endfor %}{{ y is defined }}",
    "{% set y = 1 %}{% for x in l %}{% set y = y + 1 %}{{ y }}{% endfor %}{{ y }}",
    "{% set ns = namespace(y=1) %}{% for x in l %}{% set ns.y = ns.y + 1 %}{% endfor %}{{ ns.y }}",
    "{% if true %}{% set y = 1 %}{% endif %}{{ y }}",
    # Loops.
    "{% for x in l %}a{% if loop.index == 2 %}b{% continue %}{% endif %}c{% endfor %}",
    "{% for x in l %}a{% if loop.index == 2 %}b{% break %}{% endif %}c{% endfor %}",
    "{% for x in l %}{% for y in l %}{% if y == 'b' %}{% break %}{% endif %}{{ x }}{{ y }}{% endfor %};{% endfor %}",
    "{% for x in l %}{% continue %}{% else %}none{% endfor %}",
    "{% for x in l %}a{% break %}{% else %}none{% endfor %}",
    "{% for x in l %}{% if loop.last %}{% continue %}{% endif %}{{ x }}{% else %}none{% endfor %}",
    "{% for x in e %}x{% else %}none{% endfor %}",
    "{% for x in l if x != 'b' %}{{ loop.index }}{{ x }}{{ loop.length }}{{ loop.last }}{% else %}none{% endfor %}",
    "{% for x in l if x == 'q' %}{{ x }}{% else %}none{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k in d %}{{ k }}{% endfor %}",
    "{% for k, v in d|items %}{{ k }}={{ v }};{% endfor %}",
    "{% for k, v in d|dictsort %}{{ k }}={{ v }};{% endfor %}",
    "{% for a, b in [(1, 2), (3, 4)] %}{{ a }}{{ b }}{% endfor %}",
    "{% for c in s %}[{{ c }}]{% endfor %}",
    "{% for x in nothing %}x{% else %}none{% endfor %}",
    "{% for x in n %}{% endfor %}",
    "{% for i in range(3) %}{{ i }}{% endfor %}{% for i in range(5, 0, -2) %}{{ i }}{% endfor %}",
    "{% for x in l %}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.revindex }}{{ loop.revindex0 }} {% endfor %}",
    "{% for x in l[::-1] %}{{ x }}{% endfor %}{{ l[1:] | length }}{{ l[-1] }}{{ s[1:3] }}{{ s[-2] }}",
    # What is printed.
    "{{ t }} {{ n }} {{ nothing }} {{ 1.5 }} {{ 2.0 }} {{ 7 // 2 }} {{ 7 / 2 }} {{ -7 % 3 }}",
    "{{ t ~ n ~ 1 ~ 'a' }}",
    "{{ (1 == 1) | string }}{{ n | string }}{{ nothing | string }}",
    "{{ none or 'x' }}{{ '' or 'y' }}{{ l and 'z' }}",
    # Equality.
    "{{ 1 == '1' }}{{ 0 == '' }}{{ 0 == false }}{{ 1 == true }}{{ nothing == none }}{{ nothing == nothing2 }}",
    "{{ n == none }}{{ l == ['a', 'b', 'c'] }}{{ l == ['a'] }}{{ d == {'x': 1, 'y': 'two'} }}{{ d != {} }}"
    "{{ e == '' }}",
    "{{ 'a' in l }}{{ 'q' not in l }}{{ 'ex' in s }}{{ 'x' in d }}{{ 1 in [1.0] }}{{ l[0] == l[0] }}",
    # White space.
    "a\n  {% if t %}\n  b\n  {% endif %}\nc\n",
    "a\n  {%- if t %}\n  b\n  {%- endif %}\nc\n",
    "  {{ t }}\n  x\n",
    "a {#- c -#} b",
    "a {# c #}\n b",
    "a\n\n{% set x = 1 -%}\n\n  b",
    "a\r\nb\r{% if t %}\r\nc{% endif %}\r\n",
    "x\n\n",
    "{{ '  a' -}}  b {{- 'c' }}",
    "{%- for x in l -%}\n {{ x }}\n{%- endfor -%}\n",
    "  {%- generation -%} a {%- endgeneration %} b",
    "x {% generation %}\n y\n {% endgeneration %}\nz",
    # String methods and filters.
    "[{{ s.strip() }}][{{ s | trim }}][{{ s.rstrip() }}][{{ s.lstrip() }}][{{ 'xxaxx'.strip('x') }}"
    "][{{ 'xyax'.lstrip('yx') }}]",
    "[{{ '\u001c\u0085 \ufeffa\ufeff '.strip() }}][{{ ' \ufeff '|trim }}][{{ 'aba'|trim('a') }}"
    "][{{ 'a\U0001f600'.rstrip('\U0001f600') }}]",
    "{{ 'a,b,c'.split(',') | join('-') }}|{{ 'a,b,c'.split(',', 1) | join('-') }}|{{ ' a  b '.split() | join('-') }}",
    "{{ ' a  b c '.split(none, 1) | join('-') }}|{{ 'abc'.split('b')[-1] }}|{{ ''.split('x') | length }}"
    "|{{ ''.split() | length }}",
    "{{ 'aaa'.replace('a', 'bb') }}{{ 'aaa'.replace('a', 'b', 2) }}{{ 'ab'.replace('', '-') }}"
    "{{ 'abc'.replace('', '-', 2) }}",
    "{{ 'aXb' | replace('X', '$&') }}{{ '$1$$' | replace('$', '_') }}",
    "{{ 'a'.startswith('a') }}{{ 'ab'.endswith(('x', 'b')) }}",
    "{{ l | join }}{{ l | join(', ') }}{{ [1, n, t] | join('/') }}{{ 'abc' | join('-') }}",
    "{{ l | first }}{{ l | last }}{{ e | first }}",
    "{{ '\U0001f600a' | length }}{{ l | length }}{{ d | length }}{{ '' | length }}",
    "{{ s | upper }}{{ s | lower }}{{ 'user' | title }}{{ 'user' | capitalize }}",
    "{{ 'hELLO wORLD' | capitalize }}{{ 'hELLO wORLD x-y' | title }}{{ 'hELLO wORLD'.title() }}"
    "{{ 'aBC'.capitalize() }}{{ ''.title() }}",
    "{{ 'aB'.upper() }}{{ 'aB'.lower() }}{{ 'ab'.startswith(('x', 'a')) }}{{ 'ab'.endswith('a') }}"
    "{{ 'ab'.startswith('') }}",
    "{{ nothing | default('x') }}{{ '' | default('x') }}{{ '' | default('x', true) }}{{ n | default('x') }}",
    "{{ d | tojson }}",
    "{{ d | tojson(indent=2) }}",
    "{{ {'a': [1, {'b': none}], 'c': 'q\"\\n\u00e9\u2028'} | tojson }}",
    "{{ s | tojson }}{{ e | tojson }}",
    "{{ {'b': 1, 'a': 'f'} | tojson(separators=(',', ':'), sort_keys=true) }}",
    "{{ 'a\nb\n\nc' | indent }}|{{ 'a\nb' | indent(2, true) }}",
    "{{ [3, 1, 2] | sort | join }}{{ [{'a': 2}, {'a': 1}] | sort(attribute='a') | map(attribute='a') | join }}"
    "{{ ['b', 'A'] | sort | join }}",
    "{{ [{'r': 'x'}, {'r': 'y'}] | selectattr('r', 'equalto', 'y') | list | length }}"
    "{{ [1, 1, 2] | unique | list | length }}",
    "{{ '3' | int + 1 }}{{ 'x' | int }}{{ 3.7 | int }}{{ -2 | abs }}",
    # Undefined values and errors.
    "{{ nothing.x }}",
    "{{ d.q }}|{{ d.q is defined }}",
    "{{ d.q.r }}",
    "{{ n.x is defined }}",
    "{{ nothing + 'a' }}",
    "{{ 'a' + 1 }}",
    "{{ l + ['d'] | list | length }}",
    "{{ l.q is defined }}{{ s.q is defined }}",
    "{{ ''.__class__ }}|{{ l.constructor is defined }}|{{ d.__proto__ is defined }}",
    "{{ raise_exception('no') }}",
    "{{ d | nofilter }}",
    "{{ s is notest }}",
    "{{ undefined_function() }}",
    # Macros.
    "{% macro m(a, b='x') %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}{{ m(1, 2) }}{{ m(b=3, a=4) }}",
    "{% macro m(a) %}{% if a > 0 %}{{ a }}{{ m(a - 1) }}{% endif %}{% endmacro %}{{ m(3) }}",
    "{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}x{{ t }}{% endcall %}",
    "{% set x %}a{{ t }}{% endset %}{{ x }}{{ x }}",
    "{% filter upper %}a{{ s }}{% endfilter %}",
    "{{ 'a' if t else 'b' }}{{ 'a' if n }}",
    "{{ 1 if not t }}|{{ not n }}",
    "{{ s is string }}{{ l is iterable }}{{ d is mapping }}{{ n is none }}{{ 3 is odd }}{{ t is true }}"
    "{{ 1 is number }}{{ l is sequence }}",
]]
