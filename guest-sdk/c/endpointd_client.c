/* RPC to others. */
#include "endpointd_internal.h"

static void fail(ep_call *call, ep_cause cause, const char *class_name, const char *what, ep_text detail)
{
    bool is_own = ep_equals_string(ep_text_of(class_name), "ClientError");
    ep_raise(call, (ep_failure){
                       .module = is_own ? "endpointd" : "oslo_messaging.exceptions",
                       .class_name = class_name,
                       .message = ep_format(call, "%s%.*s", what, EP_SHOW(detail)),
                       .cause = cause,
                   });
}

/* The other side's exception, as it is. */
static void pass_on(ep_call *call, const ep_abi_failure *failure)
{
    ep_raise(call, (ep_failure){
                       .module = ep_c_string(call, failure->module),
                       .class_name = ep_c_string(call, failure->class_name),
                       .message = failure->message,
                       .kwargs = {failure->kwargs.is_some ? failure->kwargs.text.data : NULL, failure->kwargs.text.size},
                       .expected = failure->expected,
                       .cause = EP_REMOTE,
                       .traceback = failure->traceback,
                       .traceback_size = failure->traceback_size,
                   });
}

static ep_abi_option option(const char *string)
{
    return (ep_abi_option){string != NULL, ep_text_of(string)};
}

static ep_text send(ep_call *call, const ep_target *to, const char *method, ep_json args,
                    void (*import)(const ep_abi_message *message, ep_abi_answer *answer))
{
    const ep_text none = {NULL, 0};
    const char *no_json = ep_no_json(call, args);
    if (no_json) fail(call, EP_INVALID, "ClientError", "the arguments are no JSON: ", ep_text_of(no_json));
    if (ep_failed(call)) return none;
    const ep_abi_message message = {
        .exchange = option(to->exchange),
        .topic = ep_text_of(to->topic),
        .server = option(to->server),
        .name_space = option(to->name_space),
        .version = option(to->version),
        .method = ep_text_of(method),
        .args = args.data ? (ep_text){args.data, args.size} : (ep_text){"{}", 2},
        .has_timeout = to->timeout_ms != 0,
        .timeout_ms = to->timeout_ms,
        .context = {to->context.data != NULL, {to->context.data, to->context.size}},
    };
    ep_abi_answer answer;
    import(&message, &answer);
    if (!answer.is_problem) return answer.result;
    switch (answer.problem.kind) {
    case 0: fail(call, EP_NOT_GRANTED, "ClientError", "not granted: ", answer.problem.text); break;
    case 1: fail(call, EP_INVALID, "ClientError", "", answer.problem.text); break;
    case 2: fail(call, EP_TIMEOUT, "MessagingTimeout", "there was no reply in time", none); break;
    case 3: fail(call, EP_UNROUTABLE, "MessageUndeliverable", "no server listens there", none); break;
    case 4: fail(call, EP_UNAVAILABLE, "MessageDeliveryFailure", "", answer.problem.text); break;
    default: pass_on(call, &answer.problem.failure); break;
    }
    return none;
}

ep_json ep_rpc_call(ep_call *call, const ep_target *to, const char *method, ep_json args, ep_kind kind)
{
    ep_text text = send(call, to, method, args, ep_host_call), problem;
    ep_json result = {NULL, 0};
    const char *no_json;
    if (ep_failed(call)) return result;
    if (!ep_json_check(text, &result, &no_json)) problem = ep_text_of(no_json);
    else if (ep_kind_fits(result, kind, &problem)) return result;
    fail(call, EP_UNEXPECTED_RESULT, "ClientError", "the result is not what was expected: ", problem);
    return (ep_json){NULL, 0};
}

void ep_rpc_cast(ep_call *call, const ep_target *to, const char *method, ep_json args)
{
    send(call, to, method, args, ep_host_cast);
}

void ep_rpc_fanout(ep_call *call, const ep_target *to, const char *method, ep_json args)
{
    send(call, to, method, args, ep_host_fanout);
}
