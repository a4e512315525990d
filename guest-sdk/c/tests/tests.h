/* How the library's own tests say what they expect. */
#ifndef TESTS_H
#define TESTS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../endpointd_internal.h"
#include "../endpointd_testing.h"

#define EXPECT(condition) expect(condition, #condition, __FILE__, __LINE__)
#define EXPECT_TEXT(expected, actual) expect_text(expected, actual, __FILE__, __LINE__)
/* What a request comes to: its result, or else its failure. */
#define EXPECT_REPLY(expected, method, args) expect_text(expected, text_of_reply(method, args), __FILE__, __LINE__)

static inline void expect(bool is_met, const char *condition, const char *file, int line)
{
    if (is_met) return;
    fprintf(stderr, "%s:%d: not so: %s\n", file, line, condition);
    exit(1);
}

static inline void expect_text(const char *expected, ep_text actual, const char *file, int line)
{
    bool is_none = !expected && !actual.data;
    if (is_none || (expected && ep_equals(actual, ep_text_of(expected)))) return;
    fprintf(stderr, "%s:%d: expected %s\n          and got  %.*s\n", file, line, expected ? expected : "nothing",
            (int)actual.size, actual.data ? actual.data : "nothing");
    exit(1);
}

static inline ep_text text_of_reply(const char *method, const char *args)
{
    ep_test_reply reply = ep_test_call(method, args);
    return ep_text_of(reply.result ? reply.result : reply.failure);
}

static inline ep_text text_of_json(ep_json value)
{
    return (ep_text){value.data, value.size};
}

void test_text(void);
void test_numbers(void);
void test_json(void);
void test_requests(void);
void test_host(void);

#endif
