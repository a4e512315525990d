/* A stock of items in a bucket, that orders more of what runs out. */
#include "endpointd.h"

static const ep_text item_prefix = {"item/", 5};

static ep_text key_of(ep_call *call, ep_text name)
{
    return ep_format(call, "item/%.*s", EP_SHOW(name));
}

/* The quantity of a stored item; `otherwise` where there is none. */
static long long quantity_of(ep_json item, long long otherwise)
{
    return ep_as_integer(ep_member(item, "quantity"), otherwise);
}

static void write_item(ep_call *call, ep_writer *out)
{
    ep_write_text(out, "name", ep_text_arg(call, "name"));
    ep_write_integer(out, "quantity", ep_integer_arg(call, "quantity"));
    ep_write_text(out, "note", ep_text_arg(call, "note"));
    ep_write_text(out, "by", ep_context_text(call, "user"));
}

/* Orders what is missing, where the operator said how much there should be. */
static ep_json order(ep_call *call, ep_text name, long long quantity)
{
    static const ep_target suppliers = {.topic = "suppliers", .version = "1.0"};
    long long enough;
    if (!ep_integer_setting(call, "reorder_below", &enough) || quantity >= enough) return (ep_json){NULL, 0};
    ep_writer *args = ep_object(call);
    ep_write_text(args, "name", name);
    ep_write_integer(args, "quantity", enough - quantity);
    return ep_rpc_call(call, &suppliers, "order", ep_done(args), EP_ANY);
}

/* Sets how many there are of an item, and orders more where that is too few. */
static ep_json put(ep_call *call)
{
    ep_text name = ep_text_arg(call, "name");
    long long quantity = ep_integer_arg(call, "quantity");
    if (name.size == 0) return ep_value_error(call, "a name is needed");
    if (quantity < 0) {
        ep_writer *kwargs = ep_object(call);
        ep_write_text(kwargs, "name", name);
        ep_write_integer(kwargs, "quantity", quantity);
        return ep_raise(call, (ep_failure){
                                  .module = "inventory.exceptions",
                                  .class_name = "InvalidQuantity",
                                  .message = ep_format(call, "the quantity of %.*s cannot be %lld", EP_SHOW(name),
                                                       quantity),
                                  .kwargs = ep_done(kwargs),
                                  .expected = true,
                              });
    }
    ep_writer *item = ep_object(call);
    write_item(call, item);
    ep_json stored = ep_done(item), previous;
    ep_bucket stock = ep_bucket_open(call, "inventory");
    ep_swap swap = ep_bucket_swap(stock, key_of(call, name));
    do previous = ep_member(ep_swap_json(&swap, EP_OBJECT), "quantity");
    while (!ep_swap_set_json(&swap, stored));
    ep_bucket_increment(stock, ep_text_of("puts"), 1);
    if (ep_failed(call)) return (ep_json){NULL, 0};
    ep_log(call, EP_INFO, "%.*s: %lld, by request %.*s", EP_SHOW(name), quantity, EP_SHOW(ep_id(call)));

    ep_writer *out = ep_object(call);
    write_item(call, out);
    ep_write_json(out, "previous", previous);
    ep_write_json(out, "order", order(call, name, quantity));
    return ep_done(out);
}

static ep_json get(ep_call *call)
{
    ep_text name = ep_text_arg(call, "name");
    ep_json item = ep_bucket_get_json(ep_bucket_open(call, "inventory"), key_of(call, name), EP_OBJECT);
    if (item.data) return item;
    ep_writer *kwargs = ep_object(call);
    ep_write_text(kwargs, "name", name);
    return ep_raise(call, (ep_failure){
                              .module = "inventory.exceptions",
                              .class_name = "ItemNotFound",
                              .message = ep_format(call, "there is no item %.*s", EP_SHOW(name)),
                              .kwargs = ep_done(kwargs),
                              .expected = true,
                          });
}

/* The names that begin with a prefix. */
static ep_json list(ep_call *call)
{
    ep_text prefix = ep_text_arg(call, "prefix");
    ep_text wanted = key_of(call, prefix.data ? prefix : ep_text_of(""));
    ep_keys keys = ep_bucket_keys(ep_bucket_open(call, "inventory"));
    ep_writer *out = ep_array(call);
    for (size_t i = 0; i < keys.size; i++) {
        ep_text key = keys.items[i];
        if (ep_starts_with(key, wanted)) ep_write_text(out, NULL, ep_after(key, item_prefix.size));
    }
    return ep_done(out);
}

static ep_json count(ep_call *call)
{
    ep_bucket stock = ep_bucket_open(call, "inventory");
    ep_keys keys = ep_bucket_keys(stock);
    long long items = 0, quantity = 0;
    for (size_t i = 0; i < keys.size; i++) {
        if (!ep_starts_with(keys.items[i], item_prefix)) continue;
        ep_json item = ep_bucket_get_json(stock, keys.items[i], EP_OBJECT);
        if (!item.data) continue; /* removed meanwhile */
        items++;
        if (__builtin_add_overflow(quantity, quantity_of(item, 0), &quantity)) {
            return ep_fail(call, "builtins", "OverflowError", "the quantities add up to more than 64 bits");
        }
    }
    ep_json puts = ep_bucket_get_json(stock, ep_text_of("puts"), EP_INTEGER);
    ep_writer *out = ep_object(call);
    ep_write_integer(out, "items", items);
    ep_write_integer(out, "quantity", quantity);
    ep_write_integer(out, "puts", ep_as_integer(puts, 0));
    return ep_done(out);
}

/* FNV-1a over every name, as often as one likes. */
static ep_json checksum(ep_call *call)
{
    long long rounds = ep_as_integer(ep_arg(call, "rounds"), 1);
    ep_keys keys = ep_bucket_keys(ep_bucket_open(call, "inventory"));
    uint32_t sum = 2166136261;
    for (long long round = 0; round < rounds; round++) {
        for (size_t i = 0; i < keys.size; i++) {
            if (!ep_starts_with(keys.items[i], item_prefix)) continue;
            ep_text name = ep_after(keys.items[i], item_prefix.size);
            for (size_t at = 0; at < name.size; at++) sum = (sum ^ (uint8_t)name.data[at]) * 16777619;
        }
    }
    return ep_integer_json(call, sum);
}

static const ep_method methods[] = {
    {"put", put, {{"name", EP_TEXT}, {"quantity", EP_INTEGER}, {"note", EP_TEXT | EP_OPTIONAL}}},
    {"get", get, {{"name", EP_TEXT}}},
    {"list", list, {{"prefix", EP_TEXT | EP_OPTIONAL}}},
    {"count", count, {{NULL, 0}}},
    {"checksum", checksum, {{"rounds", EP_INTEGER | EP_OPTIONAL}}},
};
EP_ENDPOINT("1.1", methods);
