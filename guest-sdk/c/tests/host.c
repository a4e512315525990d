#include "tests.h"

extern ep_json (*in_method)(ep_call *call);

#define EXPECT_DONE(expected, function) (in_method = function, EXPECT_REPLY(expected, "host", "{}"))

static ep_json everything_of_a_bucket(ep_call *call)
{
    ep_bucket bucket = ep_bucket_open(call, "things");
    ep_text key = ep_text_of("a");
    EXPECT_TEXT(NULL, ep_bucket_get(bucket, key));
    EXPECT(!ep_bucket_exists(bucket, key) && ep_bucket_keys(bucket).size == 0);
    ep_bucket_set(bucket, key, (ep_text){NULL, 0});
    EXPECT_TEXT("", ep_bucket_get(bucket, key));
    for (int i = 0; i < 5; i++) ep_bucket_set_json(bucket, ep_format(call, "%d", 4 - i), ep_integer_json(call, i));
    EXPECT(ep_as_integer(ep_bucket_get_json(bucket, ep_text_of("1"), EP_INTEGER), 0) == 3);
    EXPECT(ep_kind_of(ep_bucket_get_json(bucket, ep_text_of("x"), EP_INTEGER)) == EP_NONE);
    ep_keys keys = ep_bucket_keys(bucket);
    EXPECT(keys.size == 6);
    EXPECT_TEXT("0", keys.items[0]);
    EXPECT_TEXT("a", keys.items[5]);
    ep_bucket_delete(bucket, key);
    ep_bucket_delete(bucket, key);
    EXPECT(!ep_bucket_exists(bucket, key));
    EXPECT(ep_bucket_increment(bucket, ep_text_of("n"), 5) == 5 && ep_bucket_increment(bucket, ep_text_of("n"), -7) == -2);
    EXPECT(!ep_failed(call));
    return (ep_json){NULL, 0};
}

static ep_json count_up(ep_call *call)
{
    ep_bucket bucket = ep_bucket_open(call, "things");
    ep_swap swap = ep_bucket_swap(bucket, ep_text_of("n"));
    long long next;
    do {
        next = ep_as_integer(ep_swap_json(&swap, EP_INTEGER), 0) + 1;
    } while (!ep_swap_set_json(&swap, ep_integer_json(call, next)));
    return ep_integer_json(call, next);
}

static ep_json replace_twice(ep_call *call)
{
    ep_swap swap = ep_bucket_swap(ep_bucket_open(call, "things"), ep_text_of("n"));
    return ep_flag_json(ep_swap_set(&swap, ep_text_of("1")) && ep_swap_set(&swap, ep_text_of("2")));
}

static ep_json read_wrong(ep_call *call)
{
    ep_bucket_get_json(ep_bucket_open(call, "things"), ep_text_of("n"), EP_OBJECT);
    EXPECT(ep_failed(call)->cause == EP_UNEXPECTED_VALUE);
    return (ep_json){NULL, 0};
}

static ep_json write_wrong(ep_call *call)
{
    ep_bucket_set_json(ep_bucket_open(call, "things"), ep_text_of("n"), ep_text_json(call, ep_text_of("\xff")));
    return (ep_json){NULL, 0};
}

/* What follows a failure does nothing. */
static ep_json go_on_after_failing(ep_call *call)
{
    ep_bucket bucket = ep_bucket_open(call, "broken");
    ep_bucket_get(bucket, ep_text_of("n"));
    ep_bucket_set(ep_bucket_open(call, "things"), ep_text_of("n"), ep_text_of("2"));
    ep_rpc_cast(call, &(ep_target){.topic = "others"}, "ping", (ep_json){NULL, 0});
    EXPECT(ep_failed(call)->cause == EP_BUCKET_FAILED);
    return ep_flag_json(true);
}

static ep_json use_unopened(ep_call *call)
{
    ep_value_error(call, "before");
    ep_bucket bucket = ep_bucket_open(call, "things");
    ep_recover(call);
    ep_bucket_get(bucket, ep_text_of("n"));
    return (ep_json){NULL, 0};
}

static void write_between(void)
{
    ep_test_set("things", "n", "41");
}

static void test_buckets(void)
{
    EXPECT_DONE("null", everything_of_a_bucket);
    EXPECT_DONE("-1", count_up);
    ep_test.before_swap = write_between;
    EXPECT_DONE("42", count_up);
    EXPECT_TEXT("42", ep_text_of(ep_test_get("things", "n")));
    EXPECT_DONE("endpointd.BucketError: the bucket failed: the value has been replaced before", replace_twice);
    EXPECT_DONE("endpointd.BucketError: a value of the bucket is not as expected: an object is needed, not 1", read_wrong);
    EXPECT_DONE("endpointd.BucketError: a value of the bucket is not as expected: it has text that is not UTF-8", write_wrong);
    ep_test_set("things", "n", "{");
    EXPECT_DONE("endpointd.BucketError: a value of the bucket is not as expected: it is no JSON at byte 1", read_wrong);
    EXPECT_DONE("endpointd.BucketError: a value of the bucket is not as expected: it is no JSON at byte 1", count_up);
    ep_test.broken_bucket = "broken";
    EXPECT_DONE("endpointd.BucketError: the bucket failed: broken by the test", go_on_after_failing);
    EXPECT_TEXT("{", ep_text_of(ep_test_get("things", "n")));
    EXPECT_TEXT("", ep_text_of(ep_test_sent()));
    EXPECT_DONE("endpointd.BucketError: the bucket failed: it is not open", use_unopened);
}

static ep_kind asked;

static ep_json order(ep_call *call)
{
    static const ep_target suppliers = {.topic = "suppliers", .version = "1.0"};
    ep_writer *args = ep_object(call);
    ep_write_integer(args, "quantity", 2);
    ep_json result = ep_rpc_call(call, &suppliers, "order", ep_done(args), asked);
    const ep_failure *failure = ep_failed(call);
    if (failure && failure->cause == EP_TIMEOUT) {
        ep_recover(call);
        return ep_text_json(call, ep_text_of("later"));
    }
    return result;
}

static ep_json tell(ep_call *call)
{
    ep_rpc_cast(call, &(ep_target){.topic = "others", .timeout_ms = 5}, "ping", (ep_json){NULL, 0});
    ep_rpc_fanout(call, &(ep_target){.topic = "others", .server = "here"}, "pong", (ep_json){"{\"x\":1}", 7});
    ep_rpc_cast(call, &(ep_target){.topic = "others"}, "ping", ep_number_json(call, __builtin_inf()));
    return (ep_json){NULL, 0};
}

static ep_test_answer answered;

static ep_test_answer answer(const char *topic, const char *method, const char *args)
{
    (void)topic, (void)method, (void)args;
    return answered;
}

static void test_client(void)
{
    asked = EP_TEXT;
    EXPECT_DONE("oslo_messaging.exceptions.MessageUndeliverable: no server listens there", order);
    ep_test.answer = answer;
    answered.result = "\"done\"";
    EXPECT_DONE("\"done\"", order);
    EXPECT_TEXT("call suppliers order {\"quantity\":2}\ncall suppliers order {\"quantity\":2}\n", ep_text_of(ep_test_sent()));
    asked = EP_INTEGER;
    EXPECT_DONE("endpointd.ClientError: the result is not what was expected: an integer is needed, not that text", order);
    answered = (ep_test_answer){.cause = EP_TIMEOUT};
    EXPECT_DONE("\"later\"", order);
    answered = (ep_test_answer){.cause = EP_NOT_GRANTED, .message = "a line"};
    EXPECT_DONE("endpointd.ClientError: not granted: a line", order);
    answered = (ep_test_answer){.cause = EP_INVALID, .message = "a problem"};
    EXPECT_DONE("endpointd.ClientError: a problem", order);
    answered = (ep_test_answer){.cause = EP_UNAVAILABLE, .message = "a reason"};
    EXPECT_DONE("oslo_messaging.exceptions.MessageDeliveryFailure: a reason", order);
    answered = (ep_test_answer){.cause = EP_REMOTE, .module = "suppliers", .class_name = "NotHere", .message = "gone"};
    EXPECT_DONE("suppliers.NotHere: gone", order);
    answered = (ep_test_answer){.result = "null"};
    ep_test_begin();
    ep_test.answer = answer;
    EXPECT_DONE("endpointd.ClientError: the arguments are no JSON: it has a number that is not finite", tell);
    EXPECT_TEXT("cast others ping {}\nfanout others pong {\"x\":1}\n", ep_text_of(ep_test_sent()));
}

static ep_json what_is_known(ep_call *call)
{
    EXPECT_TEXT("abc", ep_id(call));
    EXPECT(ep_is_cast(call) && ep_remaining_ms(call) == 5 && ep_host_started_ms(call) == 7);
    EXPECT(ep_now_ns(call) == 3000000001 && ep_random(call) != ep_random(call));
    uint8_t bytes[11] = {0};
    ep_random_bytes(call, bytes, 10);
    EXPECT(bytes[10] == 0 && (bytes[9] || bytes[8]));
    ep_text uuid = ep_uuid(call);
    EXPECT(uuid.size == 36 && uuid.data[14] == '4' && strchr("89ab", uuid.data[19]) && uuid.data[8] == '-');
    ep_log(call, EP_WARN, "%d left, \xff", 2);
    return (ep_json){NULL, 0};
}

static ep_json settings(ep_call *call)
{
    long long n = 0;
    EXPECT(ep_integer_setting(call, "n", &n) && n == 5);
    EXPECT(!ep_integer_setting(call, "none", &n) && n == 5 && !ep_failed(call));
    EXPECT_TEXT("yes", ep_setting(call, "flag", "no"));
    EXPECT_TEXT("no", ep_setting(call, "none", "no"));
    EXPECT_TEXT(NULL, ep_setting(call, "none", NULL));
    EXPECT_TEXT("{\"flag\":\"yes\",\"n\":\" 5 \"}", text_of_json(ep_settings(call)));
    EXPECT(!ep_integer_setting(call, "flag", &n));
    return (ep_json){NULL, 0};
}

static void test_surroundings(void)
{
    ep_test.id = "abc";
    ep_test.is_cast = true;
    ep_test.remaining_ms = 5;
    ep_test.started_ms = 7;
    ep_test.now_ns = 3000000001;
    EXPECT_DONE("null", what_is_known);
    EXPECT_TEXT("warn: 2 left, \xef\xbf\xbd\n", ep_text_of(ep_test_log()));
    ep_test_setting("n", " 5 ");
    ep_test_setting("flag", "yes");
    EXPECT_DONE("builtins.ValueError: setting `flag` of the plugin is wrong: it is no integer", settings);
}

void test_host(void)
{
    void (*tests[])(void) = {test_buckets, test_client, test_surroundings};
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        ep_test_begin();
        tests[i]();
    }
}
