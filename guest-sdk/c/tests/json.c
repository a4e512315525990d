#include "tests.h"

static ep_call call;

static ep_json read(const char *text)
{
    ep_recover(&call);
    return ep_parse(&call, ep_text_of(text));
}

static ep_text text_of(const char *text)
{
    return ep_as_text(&call, read(text));
}

/* What is wrong with a text. */
static ep_text problem_of(const char *text)
{
    read(text);
    return ep_failed(&call) ? call.failure.message : ep_text_of("it is fine");
}

/* What is wrong with a value of it. */
static ep_text misfit(const char *text, ep_kind kind)
{
    ep_text problem = ep_text_of("it fits");
    ep_kind_fits(read(text), (int)kind, &problem);
    return problem;
}

static void test_checking(void)
{
    const char *bad[] = {"",    " ",      "{",       "[1,]", "{\"a\":}", "nul", "01",   "+1",   "1.",   "1 2",
                         "'a'", "\"\n\"", "{1:2}",   "[}",   "\\",       "\"\\", "\"\\u12", "1e", "-", "\"\\x\"",
                         "[1",  "[,1]",   "{\"a\"}", "{,}",  "\"\xff\"", "]",   "truex", "[1}", "{\"a\":1,}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        read(bad[i]);
        if (!ep_failed(&call)) fprintf(stderr, "taken for JSON: %s\n", bad[i]);
        EXPECT(ep_failed(&call));
    }
    const char *good[] = {"{}", "[]", " [ ] ", "{\"a\":[{}],\"b\":\"\\u00e9\"}", "-0", "1.5e-7", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "[[],[[]],{}]"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        read(good[i]);
        EXPECT(!ep_failed(&call));
    }
    EXPECT_TEXT("the JSON is not as expected: it is no JSON at byte 3", problem_of("[1,]"));
    EXPECT_TEXT("the JSON is not as expected: it is no JSON at byte 1", problem_of("\"\xff\""));
    static char deep[3 * 100000 + 1];
    memset(deep, '[', 256);
    memset(deep + 256, ']', 256);
    EXPECT_TEXT("it is fine", problem_of(deep));
    deep[256] = '[';
    EXPECT_TEXT("the JSON is not as expected: it is nested deeper than 256", problem_of(deep));
    for (int i = 0; i < 50000; i++) memcpy(deep + 5 * i, "{\"\":", 4), deep[5 * i + 4] = '[';
    EXPECT_TEXT("the JSON is not as expected: it is nested deeper than 256", problem_of(deep));
}

static void test_values(void)
{
    EXPECT(ep_as_integer(read("9223372036854775807"), 0) == 9223372036854775807);
    EXPECT(ep_as_integer(read("-9223372036854775808"), 0) == -9223372036854775807 - 1);
    EXPECT(ep_kind_of(read("9223372036854775808")) == EP_NUMBER && ep_as_integer(read("9223372036854775808"), 5) == 5);
    EXPECT(ep_as_number(read("9223372036854775808"), 0) == 9223372036854775808.0);
    EXPECT(ep_as_integer(read("3.0"), 5) == 5 && ep_as_integer(read("1e2"), 5) == 5 && ep_as_integer(read("true"), 5) == 5);
    EXPECT(ep_as_integer(read("-0"), 5) == 0 && ep_as_number(read("3"), 0) == 3 && ep_as_number(read("\"3\""), 1) == 1);
    EXPECT(ep_as_flag(read("true"), false) && !ep_as_flag(read("false"), true) && ep_as_flag(read("1"), true));
    EXPECT_TEXT("plain", text_of("\"plain\""));
    EXPECT_TEXT("", text_of("\"\""));
    EXPECT_TEXT(NULL, text_of("5"));
    EXPECT_TEXT("\"\\/\b\f\n\r\t\xc3\xa9\xe6\xbc\xa2\xf0\x9f\x98\x80~", text_of("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u6F22\\ud83d\\ude00~\""));
    EXPECT_TEXT("\xef\xbf\xbd", text_of("\"\\ud800\""));
    EXPECT_TEXT("\xef\xbf\xbd\xef\xbf\xbdx", text_of("\"\\udc00\\ud800x\""));
    EXPECT_TEXT("\xef\xbf\xbd\xf0\x9f\x98\x80", text_of("\"\\ud83d\\ud83d\\ude00\""));
    EXPECT_TEXT("\xef\xbf\xbd\\u", text_of("\"\\ud83d\\\\u\""));
    EXPECT_TEXT("\\ud800", text_of("\"\\\\ud800\""));
    EXPECT(ep_equals((ep_text){"a\0b", 3}, text_of("\"a\\u0000b\"")));

    ep_json object = read(" {\"a\" : 1, \"n\\u0061me\":[2 , \"]}\\\"\" ,{\"x\":[]}],\"a\":{\"b\":false} } ");
    EXPECT_TEXT("{\"b\":false}", text_of_json(ep_member(object, "a")));
    EXPECT(!ep_as_flag(ep_member(ep_member(object, "a"), "b"), true));
    EXPECT(ep_kind_of(ep_member(object, "no")) == EP_NONE && ep_kind_of(ep_member(read("[]"), "no")) == EP_NONE);
    ep_items items = ep_each(ep_member(object, "name"));
    EXPECT(ep_next(&items) && ep_as_integer(items.value, 0) == 2);
    EXPECT(ep_next(&items));
    EXPECT_TEXT("]}\"", ep_as_text(&call, items.value));
    EXPECT(ep_next(&items));
    EXPECT_TEXT("{\"x\":[]}", text_of_json(items.value));
    EXPECT(!ep_next(&items) && !ep_next(&items));
    items = ep_each(read("5"));
    EXPECT(!ep_next(&items));
}

static void test_kinds(void)
{
    EXPECT_TEXT("an integer is needed, not a number with a fraction or an exponent", misfit("3.0", EP_INTEGER));
    EXPECT_TEXT("an integer is needed, not a number with a fraction or an exponent", misfit("1E2", EP_INTEGER));
    EXPECT_TEXT("an integer is needed, not so large a number", misfit("9223372036854775808", EP_INTEGER));
    EXPECT_TEXT("an integer is needed, not true or false", misfit("true", EP_INTEGER));
    EXPECT_TEXT("an integer is needed, not null", misfit("null", EP_INTEGER));
    EXPECT_TEXT("an integer is needed, not that text", misfit("\"5\"", EP_INTEGER));
    EXPECT_TEXT("text is needed, not 5", misfit("5", EP_TEXT));
    EXPECT_TEXT("text is needed, not an array", misfit("[5]", EP_TEXT));
    EXPECT_TEXT("a number is needed, not so large a number", misfit("1e999", EP_NUMBER));
    EXPECT_TEXT("it fits", misfit("1e99", EP_NUMBER));
    EXPECT_TEXT("it fits", misfit("5", EP_NUMBER));
    EXPECT_TEXT("it fits", misfit("1e999", EP_ANY));
}

static void test_writing(void)
{
    ep_writer *out = ep_object(&call);
    ep_write_text(out, "text", ep_text_of("\"\\/\b\f\n\r\t\x01\x1f \xc3\xa9"));
    ep_write_text(out, "none", (ep_text){NULL, 0});
    ep_write_integer(out, "integer", -9223372036854775807 - 1);
    ep_write_number(out, "number", 3);
    ep_write_flag(out, "flag", true);
    ep_write_null(out, "null");
    ep_write_json(out, "json", (ep_json){"[1]", 3});
    ep_write_json(out, "no json", (ep_json){NULL, 0});
    ep_write_array(out, "array");
    ep_write_object(out, NULL);
    ep_write_end(out);
    ep_write_integer(out, NULL, 1);
    ep_write_array(out, NULL);
    ep_write_end(out);
    ep_write_end(out);
    ep_write_key(out, (ep_text){"k\0", 2});
    ep_write_object(out, NULL);
    ep_write_flag(out, "last", false);
    EXPECT_TEXT("{\"text\":\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f \xc3\xa9\",\"none\":null,\"integer\":-9223372036854775808,"
                "\"number\":3.0,\"flag\":true,\"null\":null,\"json\":[1],\"no json\":null,\"array\":[{},1,[]],"
                "\"k\\u0000\":{\"last\":false}}",
                text_of_json(ep_done(out)));
    EXPECT_TEXT("[]", text_of_json(ep_done(ep_array(&call))));
    EXPECT_TEXT("\"x\"", text_of_json(ep_text_json(&call, ep_text_of("x"))));
    EXPECT_TEXT("null", text_of_json(ep_text_json(&call, (ep_text){NULL, 0})));
    EXPECT_TEXT("7", text_of_json(ep_integer_json(&call, 7)));
    EXPECT_TEXT("0.5", text_of_json(ep_number_json(&call, 0.5)));
    EXPECT(!call.no_json);
    EXPECT(!ep_number_json(&call, __builtin_nan("")).data);
    EXPECT_TEXT("it has a number that is not finite", ep_text_of(call.no_json));
    EXPECT(!ep_text_json(&call, ep_text_of("a\xff")).data);
    EXPECT_TEXT("it has text that is not UTF-8", ep_text_of(call.no_json));
    call.no_json = NULL;
    out = ep_array(&call);
    for (int i = 0; i < 1000; i++) ep_write_array(out, NULL);
    ep_write_text(out, NULL, ep_text_of("x"));
    EXPECT(!ep_done(out).data);
    EXPECT_TEXT("it is nested deeper than 256", ep_text_of(call.no_json));
}

void test_json(void)
{
    test_checking();
    test_values();
    test_kinds();
    test_writing();
    ep_arena_reset();
}
