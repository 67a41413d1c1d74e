import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DataError, type DataErrorCode, parseChatTemplate } from "../src/index.ts";

/** What a template ends in: its text, or the code of its error. Any other error fails the test. */
function outcome(source: string): string {
  try {
    return parseChatTemplate(source).render([{ role: "user", content: "Hello" }]);
  } catch (error) {
    if (error instanceof DataError) return error.code;
    throw error;
  }
}

/** Doubles `ns.x` n times. */
const doubled = (start: string, times: number): string =>
  `{% set ns = namespace(x=${start}) %}{% for i in range(${times}) %}{% set ns.x = ns.x + ns.x %}{% endfor %}`;
/** A value that holds itself twice, 60 levels deep. */
const shared = "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}";
const often = (body: string): string => `{% for i in range(99999) %}${body}{% endfor %}`;

const hostile: Readonly<Record<string, readonly [DataErrorCode, string]>> = {
  "a huge range": ["template-limit", "{% for i in range(10**9) %}x{% endfor %}"],
  "an infinite range": ["template-limit", "{{ range(0, 10**300) }}{{ range(0 // 0) }}"],
  "nested empty loops": ["template-limit", often(often(""))],
  "three nested loops": ["template-limit", often(often(often("x")))],
  "continue for ever": ["template-limit", often(often("{% continue %}"))],
  "output in a loop": ["template-limit", often("y".repeat(60_000))],
  "doubling with +": ["template-limit", doubled("'ab'", 64)],
  "doubling with ~": ["template-limit", doubled("'ab'", 64).replace("ns.x + ns.x", "ns.x ~ ns.x")],
  "doubling lists": ["template-limit", doubled("[1]", 64)],
  "doubling blocks": [
    "template-limit",
    `{% set x %}ab{% endset %}${"{% set x %}{{ x }}{{ x }}{% endset %}".repeat(40)}`,
  ],
  "doubling with replace": ["template-limit", `${doubled("'a'", 20)}{{ ns.x.replace('a', ns.x) }}`],
  "doubling between characters": ["template-limit", `${doubled("'a'", 20)}{{ ns.x | replace('', 'aa') }}`],
  "joining with long separators": ["template-limit", `${doubled("'abcd'", 16)}{{ range(99999) | join(ns.x) }}`],
  "a huge indent": ["template-limit", "{{ 'a\nb' | indent(10**9) }}"],
  "many indents": ["template-limit", `${doubled("'\n'", 20)}{{ ns.x | indent(1000, true, true) }}`],
  "indented JSON": ["template-limit", "{{ [[[1]]] | tojson(indent=10**8) }}"],
  "separated JSON": ["template-limit", `${doubled("'abcd'", 16)}{{ range(9999) | tojson(separators=(ns.x, ':')) }}`],
  "many parts": ["template-limit", `${doubled("'a'", 21)}{{ ns.x.split('a') | length }}`],
  "many words": ["template-limit", `${doubled("'a '", 20)}{{ ns.x.split() | length }}`],
  "slow searches": ["template-limit", `${doubled("'a'", 21)}${often("{{ ('b' + ns.x[:1000000]) in ns.x }}")}`],
  "slow comparisons": ["template-limit", `${doubled("'a'", 21)}${often("{{ ns.x ~ 'b' in [ns.x ~ 'c'] }}")}`],
  "slices of texts": ["template-limit", `${doubled("'a'", 21)}${often("{% set y = ns.x[::-1] %}")}`],
  "titles of texts": ["template-limit", `${doubled("'a b'", 20)}{% set f = ns.x.title %}${often("{% set y = f() %}")}`],
  "long upper case": ["template-limit", `${doubled("'a'", 21)}${often("{% set y = ns.x | upper %}")}`],
  "prefixes by the thousand": [
    "template-limit",
    `${doubled("'a'", 20)}{% set l = [ns.x ~ 'b'] %}${often("{% set y = ns.x.startswith(l) %}")}`,
  ],
  "sorting long texts": [
    "template-limit",
    `${doubled("'a'", 20)}{% set ns.l = [] %}{% for i in range(999) %}{% set ns.l = ns.l + [{'a': ns.x}] %}` +
      "{% endfor %}{{ ns.l | sort(attribute='a') }}",
  ],
  "long attribute paths": [
    "template-limit",
    `${doubled("'a.'", 20)}${often("{% set q = [{'a': 1}] | map(attribute=ns.x) %}")}`,
  ],
  "tests on long texts": [
    "template-limit",
    `${doubled("'a'", 20)}${often("{% set q = [{'a': ns.x}] | selectattr('a', 'lower') %}")}`,
  ],
  "shared parts in JSON": ["template-limit", shared.replace("60", "30") + "{{ ns.x | tojson }}"],
  "deep JSON": ["template-failed", shared.replaceAll("60", "200") + "{{ ns.x | tojson }}"],
  "shared parts compared": ["template-limit", `${shared}{% set a = ns.x %}${shared}{{ a == ns.x }}`],
  "shared parts printed": ["template-failed", `${shared}{{ ns.x }}`],
  "shared parts as a reason": ["template-raised", `${shared}{{ raise_exception(ns.x) }}`],
  "a namespace in itself": ["template-failed", "{% set ns = namespace() %}{% set ns.x = [ns] %}{{ ns.x | tojson }}"],
  "endless recursion": ["template-limit", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"],
  "wide recursion": [
    "template-limit",
    "{% macro m(n) %}{% if n > 0 %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(25) }}",
  ],
  "wide callers": [
    "template-limit",
    "{% macro m() %}{{ caller() }}{{ caller() }}{% endmacro %}" +
      `${"{% call m() %}".repeat(25)}x${"{% endcall %}".repeat(25)}`,
  ],
  "long macros, defined often": ["template-limit", often(`{% macro m() %}${"{{ a }}".repeat(5000)}{% endmacro %}`)],
  "many arguments": [
    "template-limit",
    `{% macro m() %}{{ varargs | length }}{% endmacro %}{% set l = range(99999) %}${often("{{ m(*l) }}")}`,
  ],
  "much kept": ["template-limit", `${doubled("'日'", 20)}${often("{% set ns.l = [ns.l, ns.x | upper] %}")}`],
  "nested brackets": ["template-limit", `{{ ${"(".repeat(30_000)}1${")".repeat(30_000)} }}`],
  "nested lists": ["template-limit", `{{ ${"[".repeat(30_000)}${"]".repeat(30_000)} }}`],
  "nested not": ["template-limit", `{{ ${"not ".repeat(15_000)}1 }}`],
  "a long sum": ["template-limit", `{{ ${"1 + ".repeat(15_000)}1 }}`],
  "long member chains": ["template-limit", `{{ a${".b".repeat(30_000)} }}`],
  "long elif chains": ["template-limit", `{% if a %}${"{% elif b %}".repeat(5000)}{% endif %}`],
  "a long source": ["template-limit", "x".repeat(70_000)],
  "much white space": ["bad-template", `${" ".repeat(65_000)}x`],
  "white space before tags": ["bad-template", `${" ".repeat(499)}{%`.repeat(130)],
  "open tags": ["bad-template", "{%".repeat(30_000)],
  "open comments": ["bad-template", "{#".repeat(30_000)],
  "an open string": ["bad-template", `{{ '${"a".repeat(60_000)}`],
};

describe("hostile templates end in typed errors", () => {
  for (const [name, [code, source]] of Object.entries(hostile)) {
    it(name, () => expect(outcome(source)).toBe(code));
  }

  it("any mixture of template parts", () => {
    const tags = "{{ }} {% %} {# #} {%- -%} for in if else elif endif endfor set endset macro endmacro call endcall";
    const words = "filter endfilter break continue generation endgeneration messages message content loop range";
    const more = "namespace ns x is not and or defined tojson join replace split strip sort map indent length trim";
    const signs = "( ) [ ] { } . , : | ~ + - * ** // % == != < = 'a' 'b' \" ' \\ 0 1 99999 true none";
    const names = "raise_exception strftime_now caller varargs __proto__";
    const whole = ["{% for message in messages %}", "{% endfor %}", "{{ message.content }}", "{% set x = 'a' %}", "\n"];
    const part = fc.constantFrom(...[tags, words, more, signs, names].join(" ").split(" "), ...whole);
    fc.assert(
      fc.property(fc.array(part, { maxLength: 30 }), (parts) => {
        outcome(parts.join(" "));
      }),
      { numRuns: 2000 },
    );
  });
});

describe("limits", () => {
  it("stop long output while it is written", () => {
    const render = (): string => parseChatTemplate(often("y".repeat(60_000))).render([]);
    expect(render).toThrow(expect.objectContaining({ data: { limit: "characters", value: 4_194_304 } }));
  });

  it("can be raised and lowered", () => {
    const source = "{% for i in range(110000) %}x{% endfor %}";
    expect(outcome(source)).toBe("template-limit");
    const limits = { listLength: 110_000, steps: 10_000_000 };
    expect(parseChatTemplate(source, { limits }).render([])).toBe("x".repeat(110_000));
    const render = (): string => parseChatTemplate("{{ 1 }}{{ 2 }}", { limits: { steps: 3 } }).render([]);
    expect(render).toThrow(expect.objectContaining({ code: "template-limit", data: { limit: "steps", value: 3 } }));
  });
});

describe("nothing of JavaScript is within reach", () => {
  const names = ["__proto__", "constructor", "prototype", "toString", "valueOf", "hasOwnProperty", "__defineGetter__"];
  const owners = ["messages", "messages[0]", "''", "'a'.strip", "range", "raise_exception", "namespace()", "loop", "1"];
  for (const name of names) {
    it(name, () => {
      for (const owner of owners) {
        for (const access of [`${owner}.${name}`, `${owner}['${name}']`]) {
          const text = outcome(`{% for loop in [{}] %}{{ ${access} is defined }}{% endfor %}`);
          expect(["False", "template-failed"], access).toContain(text);
        }
      }
      expect(outcome(`{% set ${name} = 1 %}{{ ${name} }}`)).toBe("1");
      expect(outcome(`{% set ns = namespace() %}{% set ns.${name} = 1 %}{{ ns.${name} }}`)).toBe("1");
    });
  }

  it("a message's own __proto__ is an ordinary field", () => {
    const message = JSON.parse('{"role": "user", "content": "a", "__proto__": {"x": "b"}}') as never;
    expect(parseChatTemplate("{{ messages[0].__proto__.x }}").render([message])).toBe("b");
  });
});
