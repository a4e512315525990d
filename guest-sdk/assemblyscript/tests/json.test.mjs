// JSON as it comes in and goes out again.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { Plugin } from "../testing.mjs";

let plugin;

before(async () => {
  plugin = await Plugin.load("tests/probe.wasm");
});

function echo(text) {
  return plugin.callText("echo", `{"value": ${text}}`);
}

function problem(text) {
  try {
    echo(text);
  } catch (error) {
    return error.message.replace("echo() arguments: ", "");
  }
  assert.fail(`${text} was read`);
}

test("integers of 64 bits are exact", () => {
  for (const text of ["0", "7", "-1", "9007199254740993", "9223372036854775807", "-9223372036854775808"]) {
    assert.equal(echo(text), text);
  }
  assert.equal(echo("-0"), "0");
  assert.equal(echo("9223372036854775808"), "9223372036854776000.0");
});

test("floats are the same afterwards", () => {
  const bits = new DataView(new ArrayBuffer(8));
  const numbers = [0.1, -0, 5e-324, 2.2250738585072011e-308, 1.7976931348623157e308, 1e21, 1e-7, 123456.75];
  for (let i = 0; i < 20000; i++) {
    bits.setBigUint64(0, BigInt.asUintN(64, BigInt(i) * 0x9e3779b97f4a7c15n));
    const number = bits.getFloat64(0);
    if (Number.isFinite(number)) numbers.push(number);
  }
  const read = JSON.parse(echo(`[${numbers.map((number) => (Object.is(number, -0) ? "-0.0" : number)).join()}]`));
  numbers.forEach((number, i) => assert.ok(Object.is(read[i], number), `${number} became ${read[i]}`));
});

test("long decimals are rounded to the nearest float", () => {
  const texts = [
    "9007199254740993.0", "9007199254740992.9999", "9007199254740993.00000000000000000000001", "2.4703282292062327e-324",
    "2.4703282292062328e-324", `1.${"0".repeat(15)}11102230246251565404${"0".repeat(900)}1`, "1e-400", "1e-99999999999",
    `0.${"0".repeat(900)}1e901`, `${"123456789".repeat(100)}e-890`, "0e99999999999", "6.631236846766476e-316",
  ];
  for (const text of texts) assert.equal(JSON.parse(echo(text)), Number(text), text);
  assert.equal(problem("1e400"), "that number is too large, at byte 15");
});

test("text of any kind is the same afterwards", () => {
  for (const text of ["", "é漢字😀", "\u0000\u001f\"\\/\b\f\n\r\t\u007f\u2028", "\ufeffx", "x".repeat(100000)]) {
    assert.equal(JSON.parse(echo(JSON.stringify(text))), text);
  }
  assert.equal(echo('"\\u00e9\\uD83D\\ude00\\/\\u0041"'), '"é😀/A"');
});

test("a lone surrogate is replaced", () => {
  for (const text of ["\\ud800", "\\udc00", "\\ud800\\u0041", "\\ud800\\ud83d\\ude00", "\\ud800x"]) {
    assert.equal(JSON.parse(echo(`"${text}"`)), JSON.parse(`"${text}"`).toWellFormed(), text);
  }
  assert.equal(plugin.call("surrogate"), "\ufffdx");
});

test("objects keep their order, and the last of equal names counts", () => {
  assert.equal(echo('{"b": 1, "a": {}, "b": [], "": null}'), '{"b":[],"a":{},"":null}');
  assert.equal(echo(" [ 1 , true,false , null,\t\r\n[] ] "), "[1,true,false,null,[]]");
});

test("depth is bounded", () => {
  const nested = (depth) => "[".repeat(depth) + "]".repeat(depth);
  assert.equal(echo(nested(254)), nested(254));
  assert.match(problem(nested(256)), /^it is nested deeper than 256/);
  assert.match(problem("[".repeat(100000)), /^it is nested deeper than 256/);
  assert.match(problem('{"a":'.repeat(100000)), /^it is nested deeper than 256/);
});

test("what is no JSON is refused", () => {
  const texts = [
    "", "nul", "tru", "falsy", "nulll", "01", "-", "+1", ".5", "1.", "1e", "1e+", "- 1", "0x1", "NaN", "Infinity", "[1,]",
    "[1 2]", "{1: 2}", '{"a" 1}', '{"a": 1,}', '"', '"\\', '"\\x"', '"\\u12"', '"\\u12g4"', '"\\u', '"\\ud800\\u', '"\n"',
    '"\u0001"', "'a'", "]", "1 1", "[", "{",
  ];
  for (const text of texts) assert.ok(problem(text), text);
  assert.equal(problem('"\\ud83d\\uzzzz"'), "four hexadecimal digits are needed, at byte 19");
});
