/* What the plugin answers: functions, and a table of them. */
#include "endpointd.h"

/* Callers use greet(name="Ada"). */
static ep_json greet(ep_call *call)
{
    ep_text name = ep_text_arg(call, "name");
    if (name.size == 0) return ep_value_error(call, "a name is needed");
    ep_log(call, EP_INFO, "greeting %.*s", EP_SHOW(name));
    ep_text greeting = ep_setting(call, "greeting", "Hello");
    return ep_text_json(call, ep_format(call, "%.*s, %.*s", EP_SHOW(greeting), EP_SHOW(name)));
}

static const ep_method methods[] = {
    {"greet", greet, {{"name", EP_TEXT}}},
};
EP_ENDPOINT("1.0", methods);
