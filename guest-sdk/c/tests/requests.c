#include "tests.h"

static ep_json put(ep_call *call)
{
    ep_text name = ep_text_arg(call, "name"), note = ep_text_arg(call, "note");
    long long quantity = ep_integer_arg(call, "quantity");
    if (quantity < 0) {
        ep_writer *kwargs = ep_object(call);
        ep_write_text(kwargs, "name", name);
        return ep_raise(call, (ep_failure){.module = "items.exceptions",
                                           .class_name = "InvalidQuantity",
                                           .message = ep_format(call, "%lld is too few", quantity),
                                           .kwargs = ep_done(kwargs),
                                           .expected = true});
    }
    return ep_text_json(call, ep_format(call, "%.*s %lld %.*s", EP_SHOW(name), quantity, EP_SHOW(note)));
}

static ep_json nothing(ep_call *call)
{
    (void)call;
    return (ep_json){NULL, 0};
}

static ep_json who(ep_call *call)
{
    ep_writer *out = ep_array(call);
    ep_write_text(out, NULL, ep_context_text(call, "user"));
    ep_write_flag(out, NULL, ep_is_admin(call));
    return ep_done(out);
}

static ep_json all(ep_call *call)
{
    long long count = 0;
    for (ep_items given = ep_each(ep_args(call)); ep_next(&given);) count++;
    return ep_integer_json(call, count + ep_as_integer(ep_arg(call, "more"), 100));
}

static ep_json bytes(ep_call *call)
{
    return ep_text_json(call, ep_text_of("\xff"));
}

/* The first failure stays, and what was forgotten does not. */
static ep_json twice(ep_call *call)
{
    ep_fail(call, "builtins", "KeyError", "'forgotten'");
    if (ep_failed(call)) ep_recover(call);
    ep_value_error(call, "first \xff");
    return ep_value_error(call, "second");
}

static ep_json numbers(ep_call *call)
{
    ep_writer *out = ep_array(call);
    ep_write_number(out, NULL, ep_number_arg(call, "ratio"));
    ep_write_flag(out, NULL, ep_flag_arg(call, "is_set"));
    return ep_done(out);
}

static ep_json newer(ep_call *call)
{
    return ep_text_json(call, ep_text_of("newer"));
}

static ep_json named(ep_call *call)
{
    return ep_text_json(call, ep_text_of("named"));
}

static ep_json host_method(ep_call *call);

static const ep_method items[] = {
    {"put", put, {{"name", EP_TEXT}, {"quantity", EP_INTEGER}, {"note", EP_TEXT | EP_OPTIONAL}}},
    {"nothing", nothing},
    {"null", nothing},
    {"who", who},
    {"all", all, {{"more", EP_INTEGER | EP_OPTIONAL}, {"*", EP_OTHERS}}},
    {"bytes", bytes},
    {"twice", twice},
    {"numbers", numbers, {{"ratio", EP_NUMBER}, {"is_set", EP_FLAG | EP_OPTIONAL}, {"list", EP_ARRAY | EP_OPTIONAL}}},
    {"host", host_method},
};
static const ep_method newer_items[] = {{"nothing", newer}};
static const ep_method named_items[] = {{"nothing", named}};
EP_ENDPOINTS(EP_SERVES(NULL, "1.4", items), EP_SERVES(NULL, "1.10", newer_items), EP_SERVES("named", "2.0", named_items));

/* So that other files need no plugin of their own. */
ep_json (*in_method)(ep_call *call);

static ep_json host_method(ep_call *call)
{
    return in_method(call);
}

static void test_arguments(void)
{
    EXPECT_REPLY("\"nut 3 \"", "put", "{\"quantity\":3,\"name\":\"nut\"}");
    EXPECT_REPLY("\"nut 3 x\"", "put", "{\"quantity\":3,\"n\\u0061me\":\"nut\",\"note\":\"y\",\"note\":\"x\"}");
    EXPECT_REPLY("\"nut 3 \"", "put", "{\"quantity\":3,\"name\":\"nut\",\"note\":null}");
    EXPECT_REPLY("builtins.TypeError: put() missing a required argument: 'name'", "put", "{}");
    EXPECT_REPLY("builtins.TypeError: put() got an unexpected keyword argument 's\"ze'", "put", "{\"quantity\":3,\"name\":\"nut\",\"s\\\"ze\":1}");
    EXPECT_REPLY("builtins.TypeError: put() argument 'name': text is needed, not 3", "put", "{\"quantity\":3,\"name\":3}");
    EXPECT_REPLY("builtins.TypeError: put() argument 'quantity': an integer is needed, not null", "put", "{\"quantity\":null,\"name\":\"\"}");
    EXPECT_REPLY("builtins.TypeError: put() arguments: it is no JSON at byte 1", "put", "{");
    EXPECT_REPLY("builtins.TypeError: put() arguments: an object is needed, not an array", "put", "[]");
    EXPECT_REPLY("builtins.TypeError: who() got an unexpected keyword argument 'x'", "who", "{\"x\":1}");
    EXPECT_REPLY("102", "all", "{\"x\":1,\"y\":{}}");
    EXPECT_REPLY("4", "all", "{\"x\":1,\"more\":2}");
    EXPECT_REPLY("builtins.TypeError: all() argument 'more': an integer is needed, not an array", "all", "{\"more\":[],\"y\":1}");
    EXPECT_REPLY("[0.5,true]", "numbers", "{\"ratio\":5e-1,\"is_set\":true,\"list\":[]}");
    EXPECT_REPLY("[7.0,false]", "numbers", "{\"ratio\":7}");
}

static void test_failures(void)
{
    ep_test_reply reply = ep_test_call("put", "{\"quantity\":-1,\"name\":\"n\\\"\"}");
    EXPECT_TEXT("items.exceptions.InvalidQuantity: -1 is too few", ep_text_of(reply.failure));
    EXPECT_TEXT("{\"name\":\"n\\\"\"}", ep_text_of(reply.kwargs));
    EXPECT(reply.expected);
    EXPECT_REPLY("builtins.ValueError: the result is no JSON: it has text that is not UTF-8", "bytes", "{}");
    EXPECT_REPLY("builtins.ValueError: first \xef\xbf\xbd", "twice", "{}");
    EXPECT_REPLY("null", "null", "{}");
}

static void test_versions(void)
{
    ep_test.version = "1.2";
    EXPECT_REPLY("\"newer\"", "nothing", "{}");
    ep_test.version = "1.10";
    EXPECT_REPLY("\"newer\"", "nothing", "{}");
    ep_test.version = "1.4";
    EXPECT_REPLY("[null,false]", "who", "{}");
    ep_test.version = "1.5";
    EXPECT_REPLY("oslo_messaging.rpc.dispatcher.NoSuchMethod: Endpoint does not support RPC method who", "who", "{}");
    ep_test.version = "2.0";
    EXPECT_REPLY("oslo_messaging.rpc.dispatcher.NoSuchMethod: Endpoint does not support RPC method nothing", "nothing", "{}");
    ep_test.name_space = "";
    EXPECT_REPLY("oslo_messaging.rpc.dispatcher.NoSuchMethod: Endpoint does not support RPC method nothing", "nothing", "{}");
    ep_test.name_space = "named";
    EXPECT_REPLY("\"named\"", "nothing", "{}");

    const ep_abi_targets *targets = ep_export_targets();
    EXPECT(targets->size == 3 && targets->items[0].method_count == 9 && !targets->items[0].name_space.is_some);
    EXPECT_TEXT("named", targets->items[2].name_space.text);
    EXPECT_TEXT("1.10", targets->items[1].version);
    EXPECT_TEXT("put", targets->items[0].methods[0]);
    ep_export_after_targets(targets);
}

static void test_context(void)
{
    ep_test.context = "{\"user\":\"Ada\",\"is_admin\":true}";
    EXPECT_REPLY("[\"Ada\",true]", "who", "{}");
    ep_test.context = "{\"user\":5,\"is_admin\":\"yes\"}";
    EXPECT_REPLY("[null,false]", "who", "{}");
    ep_test.context = "[[[";
    EXPECT_REPLY("[null,false]", "who", "{}");
}

void test_requests(void)
{
    void (*tests[])(void) = {test_arguments, test_failures, test_versions, test_context};
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        ep_test_begin();
        tests[i]();
    }
}
