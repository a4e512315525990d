/* From a request to the method that answers it: which one, what arguments, and what becomes of the result. */
#include "endpointd_internal.h"

/* ---- The methods ---------------------------------------------------------------------------------------------- */

struct version {
    unsigned major, minor;
};

/* The first two numbers, as Python's `int` reads them; what is none counts as 0. */
static struct version read_version(ep_text text)
{
    unsigned numbers[2] = {0, 0};
    const char *at = text.data, *end = text.data + text.size;
    for (int i = 0; i < 2; i++) {
        unsigned number = 0;
        bool is_number = true;
        for (; at < end && *at != '.'; at++) {
            if (*at >= '0' && *at <= '9') number = number * 10 + (unsigned)(*at - '0');
            else if (*at != ' ' && *at != '_') is_number = false;
        }
        if (is_number) numbers[i] = number;
        if (at < end) at++;
    }
    return (struct version){numbers[0], numbers[1]};
}

static const ep_method *method_of(const ep_endpoint *endpoint, ep_text name)
{
    for (size_t i = 0; i < endpoint->method_count; i++) {
        if (ep_equals_string(name, endpoint->methods[i].name)) return &endpoint->methods[i];
    }
    return NULL;
}

/* Of those that fit, the one of the highest version that has the method; NULL if there is none. The host has checked
 * versions already; this tells endpoints of one plugin apart. */
static const ep_method *find_method(ep_text name_space, ep_text version, ep_text name)
{
    struct version asked = read_version(version), best = {0, 0};
    const ep_method *found = NULL;
    for (size_t i = 0; i < ep_endpoint_count; i++) {
        const ep_endpoint *endpoint = &ep_endpoints[i];
        bool is_same = endpoint->name_space ? ep_equals_string(name_space, endpoint->name_space) : !name_space.data;
        struct version served = read_version(ep_text_of(endpoint->version));
        if (!is_same || served.major != asked.major || served.minor < asked.minor) continue;
        if (found && served.minor <= best.minor) continue;
        const ep_method *method = method_of(endpoint, name);
        if (method) {
            found = method;
            best = served;
        }
    }
    return found;
}

/* ---- Arguments ------------------------------------------------------------------------------------------------ */

static bool is_end(const ep_parameter *parameters, int at)
{
    return at == EP_MOST_PARAMETERS || !parameters[at].name || parameters[at].kind & EP_OTHERS;
}

static bool takes_others(const ep_method *method)
{
    int at = 0;
    while (!is_end(method->parameters, at)) at++;
    return at < EP_MOST_PARAMETERS && method->parameters[at].name;
}

static int index_of(const ep_method *method, ep_text name)
{
    for (int i = 0; !is_end(method->parameters, i); i++) {
        if (ep_equals_string(name, method->parameters[i].name)) return i;
    }
    return -1;
}

static void type_error(ep_call *call, ep_text problem)
{
    ep_fail(call, "builtins", "TypeError", "%s() %.*s", call->method->name, EP_SHOW(problem));
}

/* Reads the arguments, each of which must be declared and of its kind; the last of equal names counts, as in
 * Python. */
static void read_arguments(ep_call *call, ep_text source)
{
    const ep_method *method = call->method;
    const char *no_json;
    ep_text problem;
    if (!ep_json_check(source, &call->args, &no_json)) {
        type_error(call, ep_format(call, "arguments: %s", no_json));
        return;
    }
    if (!ep_kind_fits(call->args, EP_OBJECT, &problem)) {
        type_error(call, ep_format(call, "arguments: %.*s", EP_SHOW(problem)));
        return;
    }
    ep_text unknown = {NULL, 0};
    for (ep_items given = ep_each(call->args); ep_next(&given);) {
        ep_text name = ep_as_text(call, given.key);
        int at = index_of(method, name);
        if (at >= 0) call->values[at] = given.value;
        else if (!unknown.data) unknown = name;
    }
    for (int i = 0; !is_end(method->parameters, i); i++) {
        const ep_parameter *parameter = &method->parameters[i];
        bool is_optional = parameter->kind & EP_OPTIONAL;
        if (is_optional && ep_kind_of(call->values[i]) == EP_NULL) call->values[i] = (ep_json){NULL, 0};
        if (!call->values[i].data) {
            if (is_optional) continue;
            type_error(call, ep_format(call, "missing a required argument: '%s'", parameter->name));
        } else if (!ep_kind_fits(call->values[i], parameter->kind & ~EP_OPTIONAL, &problem)) {
            type_error(call, ep_format(call, "argument '%s': %.*s", parameter->name, EP_SHOW(problem)));
        }
    }
    if (unknown.data && !takes_others(method)) {
        type_error(call, ep_format(call, "got an unexpected keyword argument '%.*s'", EP_SHOW(unknown)));
    }
}

ep_json ep_arg(ep_call *call, const char *name)
{
    int at = index_of(call->method, ep_text_of(name));
    if (at < 0) ep_panic("%s() declares no parameter '%s'", call->method->name, name);
    return call->values[at];
}

/* The same, which must be declared as one of two kinds. */
static ep_json declared(ep_call *call, const char *name, ep_kind kind)
{
    ep_json value = ep_arg(call, name);
    int of = call->method->parameters[index_of(call->method, ep_text_of(name))].kind & ~EP_OPTIONAL;
    if (of != (int)kind && !(kind == EP_NUMBER && of == EP_INTEGER)) {
        ep_panic("%s() asks for '%s' as another kind than it declares", call->method->name, name);
    }
    return value;
}

ep_text ep_text_arg(ep_call *call, const char *name)
{
    return ep_as_text(call, declared(call, name, EP_TEXT));
}

long long ep_integer_arg(ep_call *call, const char *name)
{
    return ep_as_integer(declared(call, name, EP_INTEGER), 0);
}

double ep_number_arg(ep_call *call, const char *name)
{
    return ep_as_number(declared(call, name, EP_NUMBER), 0);
}

bool ep_flag_arg(ep_call *call, const char *name)
{
    return ep_as_flag(declared(call, name, EP_FLAG), false);
}

ep_json ep_args(ep_call *call)
{
    return call->args;
}

/* ---- The request context -------------------------------------------------------------------------------------- */

ep_json ep_context(ep_call *call)
{
    return call->context;
}

ep_text ep_context_text(ep_call *call, const char *key)
{
    return ep_as_text(call, ep_member(call->context, key));
}

bool ep_is_admin(ep_call *call)
{
    return ep_as_flag(ep_member(call->context, "is_admin"), false);
}

/* ---- Failures ------------------------------------------------------------------------------------------------- */

ep_json ep_raise(ep_call *call, ep_failure failure)
{
    if (!call->has_failed) {
        call->has_failed = true;
        if (!failure.module) failure.module = "builtins";
        call->failure = failure;
    }
    return (ep_json){NULL, 0};
}

ep_json ep_fail(ep_call *call, const char *module, const char *class_name, const char *format, ...)
{
    __builtin_va_list arguments;
    __builtin_va_start(arguments, format);
    ep_text message = ep_format_list(call, format, arguments);
    __builtin_va_end(arguments);
    return ep_raise(call, (ep_failure){.module = module, .class_name = class_name, .message = message});
}

const ep_failure *ep_failed(const ep_call *call)
{
    return call->has_failed ? &call->failure : NULL;
}

void ep_recover(ep_call *call)
{
    call->has_failed = false;
}

static ep_abi_failure lowered(const ep_failure *failure)
{
    ep_text *traceback = (ep_text *)ep_arena_take(failure->traceback_size * sizeof *traceback, sizeof(void *));
    for (size_t i = 0; i < failure->traceback_size; i++) traceback[i] = ep_readable(failure->traceback[i]);
    return (ep_abi_failure){
        .class_name = ep_readable(ep_text_of(failure->class_name)),
        .module = ep_readable(ep_text_of(failure->module)),
        .message = ep_readable(failure->message),
        .kwargs = {failure->kwargs.data != NULL, {failure->kwargs.data, failure->kwargs.size}},
        .traceback = traceback,
        .traceback_size = failure->traceback_size,
        .expected = failure->expected,
    };
}

/* ---- What the host calls -------------------------------------------------------------------------------------- */

struct ep_opened *ep_open(ep_call *call, uint32_t handle, void (*close)(uint32_t handle))
{
    struct ep_opened *opened = (struct ep_opened *)ep_allocate(call, sizeof *opened);
    *opened = (struct ep_opened){call->opened, handle, true, close};
    call->opened = opened;
    return opened;
}

EP_EXPORT("targets")
const ep_abi_targets *ep_export_targets(void)
{
    static ep_abi_targets list;
    ep_abi_target *targets = (ep_abi_target *)ep_allocate(NULL, ep_endpoint_count * sizeof *targets);
    for (size_t i = 0; i < ep_endpoint_count; i++) {
        const ep_endpoint *endpoint = &ep_endpoints[i];
        ep_text *methods = (ep_text *)ep_allocate(NULL, endpoint->method_count * sizeof *methods);
        for (size_t at = 0; at < endpoint->method_count; at++) methods[at] = ep_text_of(endpoint->methods[at].name);
        targets[i] = (ep_abi_target){
            .name_space = {endpoint->name_space != NULL, ep_text_of(endpoint->name_space)},
            .version = ep_text_of(endpoint->version),
            .methods = methods,
            .method_count = endpoint->method_count,
        };
    }
    list = (ep_abi_targets){targets, ep_endpoint_count};
    return &list;
}

static ep_json answer(ep_call *call, ep_text name_space, ep_text version, ep_text method, ep_text args)
{
    call->method = find_method(name_space, version, method);
    if (!call->method) {
        return ep_fail(call, "oslo_messaging.rpc.dispatcher", "NoSuchMethod",
                       "Endpoint does not support RPC method %.*s", EP_SHOW(method));
    }
    read_arguments(call, args);
    if (ep_failed(call)) return (ep_json){NULL, 0};
    ep_json result = call->method->function(call);
    const char *problem = ep_no_json(call, result);
    if (problem) ep_value_error(call, "the result is no JSON: %s", problem);
    return result.data ? result : (ep_json){"null", 4};
}

EP_EXPORT("dispatch")
const ep_abi_reply *ep_export_dispatch(uint32_t has_name_space, const char *name_space, size_t name_space_size,
                                       const char *version, size_t version_size, const char *method,
                                       size_t method_size, const char *args, size_t args_size, const char *context,
                                       size_t context_size)
{
    static ep_abi_reply reply;
    ep_call *call = (ep_call *)ep_allocate(NULL, sizeof *call);
    const char *problem;
    ep_json_check((ep_text){context, context_size}, &call->context, &problem);
    ep_text in = {has_name_space ? name_space : NULL, has_name_space ? name_space_size : 0};
    ep_json result = answer(call, in, (ep_text){version, version_size}, (ep_text){method, method_size},
                            (ep_text){args, args_size});
    for (struct ep_opened *opened = call->opened; opened; opened = opened->next) {
        if (opened->is_open) opened->close(opened->handle);
    }
    const ep_failure *failure = ep_failed(call);
    reply = (ep_abi_reply){.is_failure = failure != NULL};
    if (failure) reply.failure = lowered(failure);
    else reply.result = (ep_text){result.data, result.size};
    return &reply;
}

EP_EXPORT("cabi_post_targets")
void ep_export_after_targets(const void *targets)
{
    (void)targets;
    ep_arena_reset();
}

EP_EXPORT("cabi_post_dispatch")
void ep_export_after_dispatch(const void *reply)
{
    (void)reply;
    ep_arena_reset();
}
