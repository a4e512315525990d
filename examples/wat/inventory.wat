;; A stock of items in a bucket, that orders more of what runs out: a plugin as it is, with nothing below it.
;;
;; How to read it:
;;
;; - A text is one i64: where it begins in the lower half, how many bytes it has in the upper one. In memory the
;;   contract has both as i32 in this order, so that one load or store moves a text. Zero is no text, which is not the
;;   same as an empty one. A JSON value is the text that it is written as, and a list goes the same way, with its count.
;; - Whatever is made during a request is put at $top, the end of what is taken of memory, and given back all at once.
;;   So what is written piece by piece is one text, as long as nothing else takes memory in between: no import that
;;   returns texts, and no $decode.
;; - A function that cannot go on calls $fail and returns. Its callers look at $failed and return as well.
(module
  ;; ---- What the host offers -----------------------------------------------------------------------------------------
  ;;
  ;; Whatever is larger than one number is left at an address that the caller gives as the last argument; $returned
  ;; everywhere. A result begins with a byte that is 0 if it went well.

  (import "endpointd:rpc/call-info@0.1.0" "id" (func $call_id (param $to i32)))
  (import "endpointd:rpc/client@0.1.0" "call" (func $client_call (param $message i32) (param $to i32)))
  (import "wasi:logging/logging@0.1.0-draft" "log"
    (func $log (param $level i32) (param $context i32) (param $context_size i32)
               (param $message i32) (param $message_size i32)))
  (import "wasi:config/store@0.2.0-rc.1" "get"
    (func $config_get (param $key i32) (param $key_size i32) (param $to i32)))
  (import "wasi:keyvalue/store@0.2.0-draft2" "open"
    (func $store_open (param $name i32) (param $name_size i32) (param $to i32)))
  (import "wasi:keyvalue/store@0.2.0-draft2" "[resource-drop]bucket" (func $bucket_close (param $bucket i32)))
  (import "wasi:keyvalue/store@0.2.0-draft2" "[method]bucket.get"
    (func $bucket_get (param $bucket i32) (param $key i32) (param $key_size i32) (param $to i32)))
  (import "wasi:keyvalue/store@0.2.0-draft2" "[method]bucket.list-keys"
    (func $bucket_keys (param $bucket i32) (param $has_cursor i32) (param $cursor i32) (param $cursor_size i32)
                       (param $to i32)))
  (import "wasi:keyvalue/atomics@0.2.0-draft2" "increment"
    (func $atomics_increment (param $bucket i32) (param $key i32) (param $key_size i32) (param $delta i64)
                             (param $to i32)))
  (import "wasi:keyvalue/atomics@0.2.0-draft2" "[static]cas.new-with-read"
    (func $cas_open (param $bucket i32) (param $key i32) (param $key_size i32) (param $to i32)))
  (import "wasi:keyvalue/atomics@0.2.0-draft2" "[resource-drop]cas" (func $cas_close (param $cas i32)))
  (import "wasi:keyvalue/atomics@0.2.0-draft2" "swap"
    (func $cas_swap (param $cas i32) (param $value i32) (param $value_size i32) (param $to i32)))

  ;; ---- Memory: what is where ----------------------------------------------------------------------------------------

  (memory (export "memory") 1)

  ;; Below 0x400 are structures that every request uses anew. Nothing is at 0, so that no text is 0.
  (global $reply i32 (i32.const 0x10))        ;; what dispatch returns: 52 bytes
  (global $returned i32 (i32.const 0x50))     ;; what an import returns: 56 bytes at the most
  (global $message i32 (i32.const 0x90))      ;; what is sent to others: 92 bytes
  (global $parameters i32 (i32.const 0x100))  ;; what the method declares: 32 bytes each
  (global $target_list i32 (i32.const 0x200))
  (global $target i32 (i32.const 0x208))
  (global $methods i32 (i32.const 0x228))

  ;; From 0x400 on are the texts of the plugin, each as size and address: 0xSIZE_ADDRESS. Who changes one counts its
  ;; bytes again, and sees to it that it ends before the next.

  ;; Methods, names of arguments and of settings
  (global $method_put i64 (i64.const 0x03_00000400))               (data (i32.const 0x400) "put")
  (global $method_get i64 (i64.const 0x03_00000410))               (data (i32.const 0x410) "get")
  (global $method_list i64 (i64.const 0x04_00000420))              (data (i32.const 0x420) "list")
  (global $method_count i64 (i64.const 0x05_00000430))             (data (i32.const 0x430) "count")
  (global $method_checksum i64 (i64.const 0x08_00000440))          (data (i32.const 0x440) "checksum")
  (global $name i64 (i64.const 0x04_00000450))                     (data (i32.const 0x450) "name")
  (global $quantity i64 (i64.const 0x08_00000460))                 (data (i32.const 0x460) "quantity")
  (global $note i64 (i64.const 0x04_00000470))                     (data (i32.const 0x470) "note")
  (global $prefix i64 (i64.const 0x06_00000480))                   (data (i32.const 0x480) "prefix")
  (global $rounds i64 (i64.const 0x06_00000490))                   (data (i32.const 0x490) "rounds")
  (global $user i64 (i64.const 0x04_000004a0))                     (data (i32.const 0x4a0) "user")
  (global $inventory i64 (i64.const 0x09_000004b0))                (data (i32.const 0x4b0) "inventory")
  (global $puts i64 (i64.const 0x04_000004c0))                     (data (i32.const 0x4c0) "puts")
  (global $item_slash i64 (i64.const 0x05_000004d0))               (data (i32.const 0x4d0) "item/")
  (global $reorder_below i64 (i64.const 0x0d_000004e0))            (data (i32.const 0x4e0) "reorder_below")
  (global $suppliers i64 (i64.const 0x09_000004f0))                (data (i32.const 0x4f0) "suppliers")
  (global $order i64 (i64.const 0x05_00000500))                    (data (i32.const 0x500) "order")
  (global $version_1_0 i64 (i64.const 0x03_00000510))              (data (i32.const 0x510) "1.0")
  (global $version_1_1 i64 (i64.const 0x03_00000520))              (data (i32.const 0x520) "1.1")

  ;; JSON: pieces, and sets of bytes
  (global $open_name i64 (i64.const 0x08_00000530))                (data (i32.const 0x530) "{\22name\22:")
  (global $open_items i64 (i64.const 0x09_00000540))               (data (i32.const 0x540) "{\22items\22:")
  (global $comma_quantity i64 (i64.const 0x0c_00000550))           (data (i32.const 0x550) ",\22quantity\22:")
  (global $comma_note i64 (i64.const 0x08_00000560))               (data (i32.const 0x560) ",\22note\22:")
  (global $comma_by i64 (i64.const 0x06_00000570))                 (data (i32.const 0x570) ",\22by\22:")
  (global $comma_previous i64 (i64.const 0x0c_00000580))           (data (i32.const 0x580) ",\22previous\22:")
  (global $comma_order i64 (i64.const 0x09_00000590))              (data (i32.const 0x590) ",\22order\22:")
  (global $comma_puts i64 (i64.const 0x08_000005a0))               (data (i32.const 0x5a0) ",\22puts\22:")
  (global $close i64 (i64.const 0x01_000005b0))                    (data (i32.const 0x5b0) "}")
  (global $zero i64 (i64.const 0x01_000005c0))                     (data (i32.const 0x5c0) "0")
  (global $true i64 (i64.const 0x04_000005d0))                     (data (i32.const 0x5d0) "true")
  (global $false i64 (i64.const 0x05_000005e0))                    (data (i32.const 0x5e0) "false")
  (global $null i64 (i64.const 0x04_000005f0))                     (data (i32.const 0x5f0) "null")
  (global $spaces i64 (i64.const 0x04_00000600))                   (data (i32.const 0x600) " \09\0a\0d")
  (global $digits i64 (i64.const 0x0a_00000610))                   (data (i32.const 0x610) "0123456789")
  (global $exponents i64 (i64.const 0x02_00000620))                (data (i32.const 0x620) "eE")
  (global $signs i64 (i64.const 0x02_00000630))                    (data (i32.const 0x630) "+-")
  (global $escapes i64 (i64.const 0x08_00000640))                  (data (i32.const 0x640) "\22\5c/bfnrt")
  (global $any_hex_digits i64 (i64.const 0x16_00000650))           (data (i32.const 0x650) "0123456789abcdefABCDEF")
  (global $hex_digits i64 (i64.const 0x10_00000670))               (data (i32.const 0x670) "0123456789abcdef")
  (global $u00 i64 (i64.const 0x03_00000680))                      (data (i32.const 0x680) "u00")

  ;; Kinds of JSON, and what is said of them
  (global $a_text i64 (i64.const 0x04_00000690))                   (data (i32.const 0x690) "text")
  (global $an_integer i64 (i64.const 0x0a_000006a0))               (data (i32.const 0x6a0) "an integer")
  (global $a_number i64 (i64.const 0x08_000006b0))                 (data (i32.const 0x6b0) "a number")
  (global $a_flag i64 (i64.const 0x0d_000006c0))                   (data (i32.const 0x6c0) "true or false")
  (global $an_array i64 (i64.const 0x08_000006d0))                 (data (i32.const 0x6d0) "an array")
  (global $an_object i64 (i64.const 0x09_000006e0))                (data (i32.const 0x6e0) "an object")
  (global $that_text i64 (i64.const 0x09_000006f0))                (data (i32.const 0x6f0) "that text")
  (global $is_needed_not i64 (i64.const 0x10_00000700))            (data (i32.const 0x700) " is needed, not ")
  (global $so_large_a_number i64 (i64.const 0x11_00000710))        (data (i32.const 0x710) "so large a number")
  (global $fraction_or_exponent i64 (i64.const 0x27_00000730))
    (data (i32.const 0x730) "a number with a fraction or an exponent")

  ;; Failures
  (global $builtins i64 (i64.const 0x08_00000760))                 (data (i32.const 0x760) "builtins")
  (global $endpointd i64 (i64.const 0x09_00000770))                (data (i32.const 0x770) "endpointd")
  (global $inventory_exceptions i64 (i64.const 0x14_00000780))     (data (i32.const 0x780) "inventory.exceptions")
  (global $oslo_exceptions i64 (i64.const 0x19_000007a0))          (data (i32.const 0x7a0) "oslo_messaging.exceptions")
  (global $type_error i64 (i64.const 0x09_000007c0))               (data (i32.const 0x7c0) "TypeError")
  (global $value_error i64 (i64.const 0x0a_000007d0))              (data (i32.const 0x7d0) "ValueError")
  (global $overflow_error i64 (i64.const 0x0d_000007e0))           (data (i32.const 0x7e0) "OverflowError")
  (global $invalid_quantity i64 (i64.const 0x0f_000007f0))         (data (i32.const 0x7f0) "InvalidQuantity")
  (global $item_not_found i64 (i64.const 0x0c_00000800))           (data (i32.const 0x800) "ItemNotFound")
  (global $bucket_error i64 (i64.const 0x0b_00000810))             (data (i32.const 0x810) "BucketError")
  (global $client_error i64 (i64.const 0x0b_00000820))             (data (i32.const 0x820) "ClientError")
  (global $messaging_timeout i64 (i64.const 0x10_00000830))        (data (i32.const 0x830) "MessagingTimeout")
  (global $message_undeliverable i64 (i64.const 0x14_00000840))    (data (i32.const 0x840) "MessageUndeliverable")
  (global $message_delivery_failure i64 (i64.const 0x16_00000860)) (data (i32.const 0x860) "MessageDeliveryFailure")
  (global $missing i64 (i64.const 0x21_00000880))
    (data (i32.const 0x880) "() missing a required argument: '")
  (global $unexpected i64 (i64.const 0x27_000008b0))
    (data (i32.const 0x8b0) "() got an unexpected keyword argument '")
  (global $argument_quote i64 (i64.const 0x0d_000008e0))           (data (i32.const 0x8e0) "() argument '")
  (global $quote_colon i64 (i64.const 0x03_000008f0))              (data (i32.const 0x8f0) "': ")
  (global $a_name_is_needed i64 (i64.const 0x10_00000900))         (data (i32.const 0x900) "a name is needed")
  (global $the_quantity_of i64 (i64.const 0x10_00000910))          (data (i32.const 0x910) "the quantity of ")
  (global $cannot_be i64 (i64.const 0x0b_00000920))                (data (i32.const 0x920) " cannot be ")
  (global $there_is_no_item i64 (i64.const 0x11_00000930))         (data (i32.const 0x930) "there is no item ")
  (global $there_is_no_bucket i64 (i64.const 0x14_00000950))       (data (i32.const 0x950) "there is no bucket `")
  (global $backquote i64 (i64.const 0x01_00000970))                (data (i32.const 0x970) "`")
  (global $the_bucket i64 (i64.const 0x0c_00000980))               (data (i32.const 0x980) "the bucket `")
  (global $is_not_granted i64 (i64.const 0x1f_00000990))
    (data (i32.const 0x990) "` is not granted to this plugin")
  (global $the_bucket_failed i64 (i64.const 0x13_000009b0))        (data (i32.const 0x9b0) "the bucket failed: ")
  (global $it_is_gone i64 (i64.const 0x0a_000009d0))               (data (i32.const 0x9d0) "it is gone")
  (global $it_is_no_longer_granted i64 (i64.const 0x17_000009e0))  (data (i32.const 0x9e0) "it is no longer granted")
  (global $not_as_expected i64 (i64.const 0x2a_00000a00))
    (data (i32.const 0xa00) "a value of the bucket is not as expected: ")
  (global $no_json_at_byte i64 (i64.const 0x16_00000a30))          (data (i32.const 0xa30) "it is no JSON at byte ")
  (global $more_than_64_bits i64 (i64.const 0x2a_00000a50))
    (data (i32.const 0xa50) "the quantities add up to more than 64 bits")
  (global $not_granted i64 (i64.const 0x0d_00000a80))              (data (i32.const 0xa80) "not granted: ")
  (global $no_reply i64 (i64.const 0x1a_00000a90))                 (data (i32.const 0xa90) "there was no reply in time")
  (global $no_server_listens i64 (i64.const 0x17_00000ab0))        (data (i32.const 0xab0) "no server listens there")
  (global $setting_is_wrong i64 (i64.const 0x40_00000ad0))
    (data (i32.const 0xad0) "setting `reorder_below` of the plugin is wrong: it is no integer")

  ;; The log
  (global $colon i64 (i64.const 0x02_00000b10))                    (data (i32.const 0xb10) ": ")
  (global $by_request i64 (i64.const 0x0d_00000b20))               (data (i32.const 0xb20) ", by request ")
  (global $nothing i64 (i64.const 0x00_00000b30))                  (data (i32.const 0xb30) "")

  ;; What is taken of the rest.
  (global $heap i32 (i32.const 0xc00))
  (global $top (mut i32) (i32.const 0xc00))

  ;; ---- Memory: taking it --------------------------------------------------------------------------------------------

  ;; Has memory for so many bytes more at $top. Where the host gives none, there is nothing to go on with: the trap ends
  ;; the instance, and the caller is told of the limit.
  (func $make_room (param $size i32)
    (local $missing i64)
    ;; In 64 bits, as the end may be beyond what 32 can say.
    (local.set $missing
      (i64.sub
        (i64.add (i64.extend_i32_u (global.get $top)) (i64.extend_i32_u (local.get $size)))
        (i64.shl (i64.extend_i32_u (memory.size)) (i64.const 16))))
    (if (i64.gt_s (local.get $missing) (i64.const 0))
      (then
        (if (i32.eq (i32.const -1)
                    (memory.grow (i32.wrap_i64 (i64.shr_u (i64.add (local.get $missing) (i64.const 0xffff))
                                                          (i64.const 16)))))
          (then (unreachable))))))

  ;; The host asks for memory with this, for arguments and for what imports return.
  (func (export "cabi_realloc") (param $old i32) (param $old_size i32) (param $alignment i32) (param $size i32)
                                (result i32)
    (local $new i32)
    ;; Even of nothing it wants an address that is aligned.
    (if (i32.eqz (local.get $size)) (then (return (local.get $alignment))))
    (global.set $top
      (i32.and (i32.add (global.get $top) (i32.sub (local.get $alignment) (i32.const 1)))
               (i32.sub (i32.const 0) (local.get $alignment))))
    (call $make_room (local.get $size))
    (local.set $new (global.get $top))
    (global.set $top (i32.add (local.get $new) (local.get $size)))
    (memory.copy (local.get $new) (local.get $old)
      (select (local.get $old_size) (local.get $size) (i32.lt_u (local.get $old_size) (local.get $size))))
    (local.get $new))

  ;; ---- Texts --------------------------------------------------------------------------------------------------------

  (func $text (param $start i32) (param $size i32) (result i64)
    (i64.or (i64.extend_i32_u (local.get $start))
            (i64.shl (i64.extend_i32_u (local.get $size)) (i64.const 32))))

  (func $start (param $text i64) (result i32)
    (i32.wrap_i64 (local.get $text)))

  (func $size (param $text i64) (result i32)
    (i32.wrap_i64 (i64.shr_u (local.get $text) (i64.const 32))))

  (func $end (param $text i64) (result i32)
    (i32.add (call $start (local.get $text)) (call $size (local.get $text))))

  ;; What follows the first bytes, of which it must have as many.
  (func $after (param $text i64) (param $count i32) (result i64)
    (call $text (i32.add (call $start (local.get $text)) (local.get $count))
                (i32.sub (call $size (local.get $text)) (local.get $count))))

  (func $begins_with (param $text i64) (param $prefix i64) (result i32)
    (local $at i32) (local $size i32)
    (local.set $size (call $size (local.get $prefix)))
    (if (i32.lt_u (call $size (local.get $text)) (local.get $size)) (then (return (i32.const 0))))
    (loop $next
      (if (i32.eq (local.get $at) (local.get $size)) (then (return (i32.const 1))))
      (if (i32.ne (i32.load8_u (i32.add (call $start (local.get $text)) (local.get $at)))
                  (i32.load8_u (i32.add (call $start (local.get $prefix)) (local.get $at))))
        (then (return (i32.const 0))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br $next))
    (unreachable))

  (func $equals (param $one i64) (param $other i64) (result i32)
    (i32.and (i32.eq (call $size (local.get $one)) (call $size (local.get $other)))
             (call $begins_with (local.get $one) (local.get $other))))

  (func $contains (param $text i64) (param $byte i32) (result i32)
    (local $at i32) (local $end i32)
    (local.set $at (call $start (local.get $text)))
    (local.set $end (call $end (local.get $text)))
    (loop $next
      (if (i32.eq (local.get $at) (local.get $end)) (then (return (i32.const 0))))
      (if (i32.eq (i32.load8_u (local.get $at)) (local.get $byte)) (then (return (i32.const 1))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br $next))
    (unreachable))

  ;; ---- Writing, at $top ---------------------------------------------------------------------------------------------

  (func $add (param $text i64)
    (call $make_room (call $size (local.get $text)))
    (memory.copy (global.get $top) (call $start (local.get $text)) (call $size (local.get $text)))
    (global.set $top (i32.add (global.get $top) (call $size (local.get $text)))))

  (func $add_byte (param $byte i32)
    (call $make_room (i32.const 1))
    (i32.store8 (global.get $top) (local.get $byte))
    (global.set $top (i32.add (global.get $top) (i32.const 1))))

  (func $add_digits (param $number i64)
    (if (i64.ge_u (local.get $number) (i64.const 10))
      (then (call $add_digits (i64.div_u (local.get $number) (i64.const 10)))))
    (call $add_byte (i32.add (i32.const 0x30) (i32.wrap_i64 (i64.rem_u (local.get $number) (i64.const 10))))))

  (func $add_integer (param $number i64)
    (if (i64.lt_s (local.get $number) (i64.const 0))
      (then
        (call $add_byte (i32.const 0x2d))  ;; -
        ;; Right even for the lowest, as the digits are written of a number without a sign.
        (local.set $number (i64.sub (i64.const 0) (local.get $number)))))
    (call $add_digits (local.get $number)))

  ;; A text as JSON. Only what must be escaped is.
  (func $add_quoted (param $text i64)
    (local $at i32) (local $end i32) (local $plain i32) (local $byte i32)
    (local.set $at (call $start (local.get $text)))
    (local.set $end (call $end (local.get $text)))
    (local.set $plain (local.get $at))
    (call $add_byte (i32.const 0x22))  ;; "
    (block $done
      (loop $next
        (br_if $done (i32.eq (local.get $at) (local.get $end)))
        (local.set $byte (i32.load8_u (local.get $at)))
        (if (i32.or (i32.lt_u (local.get $byte) (i32.const 0x20))
                    (i32.or (i32.eq (local.get $byte) (i32.const 0x22)) (i32.eq (local.get $byte) (i32.const 0x5c))))
          (then
            (call $add (call $text (local.get $plain) (i32.sub (local.get $at) (local.get $plain))))
            (call $add_byte (i32.const 0x5c))  ;; \
            (if (i32.lt_u (local.get $byte) (i32.const 0x20))
              (then
                (call $add (global.get $u00))
                (call $add_byte (i32.add (i32.const 0x30) (i32.shr_u (local.get $byte) (i32.const 4))))
                (call $add_byte (i32.load8_u (i32.add (call $start (global.get $hex_digits))
                                                      (i32.and (local.get $byte) (i32.const 15))))))
              (else (call $add_byte (local.get $byte))))
            (local.set $plain (i32.add (local.get $at) (i32.const 1)))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
    (call $add (call $text (local.get $plain) (i32.sub (local.get $at) (local.get $plain))))
    (call $add_byte (i32.const 0x22)))

  ;; What has been written since $top was there.
  (func $written (param $since i32) (result i64)
    (call $text (local.get $since) (i32.sub (global.get $top) (local.get $since))))

  ;; ---- Reading JSON -------------------------------------------------------------------------------------------------
  ;;
  ;; Functions named $skip go on from $at over what they are named after, and say whether it was there. One that says no
  ;; leaves $at where it is no JSON any more. They call themselves for what is nested: the host lets through no request
  ;; that is nested deeply, and a value of the bucket that uses up the stack ends the instance, as all that has no end.

  (global $at (mut i32) (i32.const 0))
  (global $limit (mut i32) (i32.const 0))

  (func $read_from (param $text i64)
    (global.set $at (call $start (local.get $text)))
    (global.set $limit (call $end (local.get $text))))

  ;; The next byte; at the end 0, which stands nowhere in JSON, so that nobody need ask for the end as well.
  (func $byte (result i32)
    (if (result i32) (i32.lt_u (global.get $at) (global.get $limit))
      (then (i32.load8_u (global.get $at)))
      (else (i32.const 0))))

  (func $step
    (global.set $at (i32.add (global.get $at) (i32.const 1))))

  (func $skip_byte (param $wanted i32) (result i32)
    (if (i32.ne (call $byte) (local.get $wanted)) (then (return (i32.const 0))))
    (call $step)
    (i32.const 1))

  (func $skip_any_of (param $bytes i64) (result i32)
    (if (i32.eqz (call $contains (local.get $bytes) (call $byte))) (then (return (i32.const 0))))
    (call $step)
    (i32.const 1))

  (func $skip_spaces
    (loop $more
      (br_if $more (call $skip_any_of (global.get $spaces)))))

  (func $skip_word (param $word i64) (result i32)
    (local $letter i32)
    (local.set $letter (call $start (local.get $word)))
    (loop $next
      (if (i32.eqz (call $skip_byte (i32.load8_u (local.get $letter)))) (then (return (i32.const 0))))
      (local.set $letter (i32.add (local.get $letter) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $letter) (call $end (local.get $word)))))
    (i32.const 1))

  (func $skip_digits (result i32)
    (if (i32.eqz (call $skip_any_of (global.get $digits))) (then (return (i32.const 0))))
    (loop $more
      (br_if $more (call $skip_any_of (global.get $digits))))
    (i32.const 1))

  (func $skip_number (result i32)
    (drop (call $skip_byte (i32.const 0x2d)))  ;; -
    ;; Other digits than those of 0 alone do not begin with 0.
    (if (i32.eqz (call $skip_byte (i32.const 0x30)))
      (then (if (i32.eqz (call $skip_digits)) (then (return (i32.const 0))))))
    (if (call $skip_byte (i32.const 0x2e))  ;; .
      (then (if (i32.eqz (call $skip_digits)) (then (return (i32.const 0))))))
    (if (call $skip_any_of (global.get $exponents))
      (then
        (drop (call $skip_any_of (global.get $signs)))
        (return (call $skip_digits))))
    (i32.const 1))

  (func $skip_escape (result i32)
    (local $digits i32)
    (if (call $skip_any_of (global.get $escapes)) (then (return (i32.const 1))))
    (if (i32.eqz (call $skip_byte (i32.const 0x75))) (then (return (i32.const 0))))  ;; u
    (loop $more
      (if (i32.eqz (call $skip_any_of (global.get $any_hex_digits))) (then (return (i32.const 0))))
      (local.set $digits (i32.add (local.get $digits) (i32.const 1)))
      (br_if $more (i32.lt_u (local.get $digits) (i32.const 4))))
    (i32.const 1))

  ;; Of bytes that are no UTF-8 nothing is said here: what has such is refused by the host, as it is no text. Megabytes
  ;; go this way, and so plain bytes do without the functions above.
  (func $skip_string (result i32)
    (local $at i32) (local $byte i32)
    (if (i32.eqz (call $skip_byte (i32.const 0x22))) (then (return (i32.const 0))))
    (loop $more
      (local.set $at (global.get $at))
      (block $not_plain
        (loop $plain
          (br_if $not_plain (i32.eq (local.get $at) (global.get $limit)))
          (local.set $byte (i32.load8_u (local.get $at)))
          (br_if $not_plain (i32.lt_u (local.get $byte) (i32.const 0x20)))
          (br_if $not_plain (i32.eq (local.get $byte) (i32.const 0x22)))
          (br_if $not_plain (i32.eq (local.get $byte) (i32.const 0x5c)))
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (br $plain)))
      (global.set $at (local.get $at))
      (if (call $skip_byte (i32.const 0x22)) (then (return (i32.const 1))))
      (if (i32.eqz (call $skip_byte (i32.const 0x5c))) (then (return (i32.const 0))))
      (br_if $more (call $skip_escape)))
    (i32.const 0))

  ;; From the bracket that opens to the one that closes, which tells objects from arrays.
  (func $skip_items (param $close i32) (result i32)
    (call $step)
    (call $skip_spaces)
    (if (call $skip_byte (local.get $close)) (then (return (i32.const 1))))
    (loop $more
      (if (i32.eq (local.get $close) (i32.const 0x7d))
        (then
          (call $skip_spaces)
          (if (i32.eqz (call $skip_string)) (then (return (i32.const 0))))
          (call $skip_spaces)
          (if (i32.eqz (call $skip_byte (i32.const 0x3a))) (then (return (i32.const 0))))))  ;; :
      (if (i32.eqz (call $skip_value)) (then (return (i32.const 0))))
      (call $skip_spaces)
      (br_if $more (call $skip_byte (i32.const 0x2c))))  ;; ,
    (call $skip_byte (local.get $close)))

  (func $skip_value (result i32)
    (local $byte i32)
    (call $skip_spaces)
    (local.set $byte (call $byte))
    (if (i32.eq (local.get $byte) (i32.const 0x22)) (then (return (call $skip_string))))
    (if (i32.eq (local.get $byte) (i32.const 0x7b)) (then (return (call $skip_items (i32.const 0x7d)))))  ;; { }
    (if (i32.eq (local.get $byte) (i32.const 0x5b)) (then (return (call $skip_items (i32.const 0x5d)))))  ;; [ ]
    (if (i32.eq (local.get $byte) (i32.const 0x74)) (then (return (call $skip_word (global.get $true)))))
    (if (i32.eq (local.get $byte) (i32.const 0x66)) (then (return (call $skip_word (global.get $false)))))
    (if (i32.eq (local.get $byte) (i32.const 0x6e)) (then (return (call $skip_word (global.get $null)))))
    (call $skip_number))

  ;; The value that a text is, without the space around it; none if it is no JSON.
  (func $value_of (param $text i64) (result i64)
    (local $start i32) (local $value i64)
    (call $read_from (local.get $text))
    (call $skip_spaces)
    (local.set $start (global.get $at))
    (if (i32.eqz (call $skip_value)) (then (return (i64.const 0))))
    (local.set $value (call $text (local.get $start) (i32.sub (global.get $at) (local.get $start))))
    (call $skip_spaces)
    (select (local.get $value) (i64.const 0) (i32.eq (global.get $at) (global.get $limit))))

  ;; The members of an object that is JSON, one after another; $key is decoded.
  (global $key (mut i64) (i64.const 0))
  (global $value (mut i64) (i64.const 0))

  (func $begin_members (param $object i64)
    (call $read_from (local.get $object))
    (call $skip_spaces)
    (drop (call $skip_byte (i32.const 0x7b))))

  (func $next_member (result i32)
    (local $start i32)
    (call $skip_spaces)
    (drop (call $skip_byte (i32.const 0x2c)))
    (call $skip_spaces)
    (local.set $start (global.get $at))
    (if (i32.eqz (call $skip_string)) (then (return (i32.const 0))))
    (global.set $key (call $decode (call $text (local.get $start) (i32.sub (global.get $at) (local.get $start)))))
    (call $skip_spaces)
    (drop (call $skip_byte (i32.const 0x3a)))
    (call $skip_spaces)
    (local.set $start (global.get $at))
    (drop (call $skip_value))
    (global.set $value (call $text (local.get $start) (i32.sub (global.get $at) (local.get $start))))
    (i32.const 1))

  ;; Of equal keys the last counts, as in Python.
  (func $member (param $object i64) (param $key i64) (result i64)
    (local $found i64)
    (call $begin_members (local.get $object))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (call $next_member)))
        (if (call $equals (global.get $key) (local.get $key)) (then (local.set $found (global.get $value))))
        (br $next)))
    (local.get $found))

  ;; A kind is what messages call it.
  (func $kind_of (param $value i64) (result i64)
    (local $byte i32)
    (local.set $byte (i32.load8_u (call $start (local.get $value))))
    (if (i32.eq (local.get $byte) (i32.const 0x22)) (then (return (global.get $a_text))))
    (if (i32.eq (local.get $byte) (i32.const 0x7b)) (then (return (global.get $an_object))))
    (if (i32.eq (local.get $byte) (i32.const 0x5b)) (then (return (global.get $an_array))))
    (if (i32.eq (local.get $byte) (i32.const 0x6e)) (then (return (global.get $null))))
    (if (i32.or (i32.eq (local.get $byte) (i32.const 0x74)) (i32.eq (local.get $byte) (i32.const 0x66)))
      (then (return (global.get $a_flag))))
    (select (global.get $an_integer) (global.get $a_number) (call $read_integer (local.get $value))))

  ;; What is wrong with a value that is not of the kind which is needed.
  (func $add_mismatch (param $needed i64) (param $value i64)
    (local $kind i64)
    (local.set $kind (call $kind_of (local.get $value)))
    (call $add (local.get $needed))
    (call $add (global.get $is_needed_not))
    (if (i64.eq (local.get $kind) (global.get $a_text)) (then (local.set $kind (global.get $that_text))))
    (if (i64.eq (local.get $kind) (global.get $an_integer)) (then (local.set $kind (local.get $value))))
    (if (i64.eq (local.get $kind) (global.get $a_number))
      (then
        (local.set $kind
          (select (global.get $fraction_or_exponent) (global.get $so_large_a_number)
            (i32.or (call $contains (local.get $value) (i32.const 0x2e))
                    (i32.or (call $contains (local.get $value) (i32.const 0x65))
                            (call $contains (local.get $value) (i32.const 0x45))))))))
    (call $add (local.get $kind)))

  (global $number (mut i64) (i64.const 0))

  ;; Whether a number is an integer within 64 bits, which is then in $number.
  (func $read_integer (param $value i64) (result i32)
    (local $at i32) (local $end i32) (local $is_negative i32) (local $digit i32) (local $sum i64)
    (local.set $at (call $start (local.get $value)))
    (local.set $end (call $end (local.get $value)))
    (local.set $is_negative (i32.eq (i32.load8_u (local.get $at)) (i32.const 0x2d)))
    (local.set $at (i32.add (local.get $at) (local.get $is_negative)))
    ;; From 1 to 19 digits, as those fit into 64 bits without a sign.
    (if (i32.ge_u (i32.sub (i32.sub (local.get $end) (local.get $at)) (i32.const 1)) (i32.const 19))
      (then (return (i32.const 0))))
    (loop $next
      (local.set $digit (i32.sub (i32.load8_u (local.get $at)) (i32.const 0x30)))
      (if (i32.gt_u (local.get $digit) (i32.const 9)) (then (return (i32.const 0))))
      (local.set $sum
        (i64.add (i64.mul (local.get $sum) (i64.const 10)) (i64.extend_i32_u (local.get $digit))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $at) (local.get $end))))
    (if (i64.gt_u (local.get $sum)
                  (i64.add (i64.const 0x7fff_ffff_ffff_ffff) (i64.extend_i32_u (local.get $is_negative))))
      (then (return (i32.const 0))))
    (global.set $number
      (select (i64.sub (i64.const 0) (local.get $sum)) (local.get $sum) (local.get $is_negative)))
    (i32.const 1))

  ;; ---- Texts of JSON ------------------------------------------------------------------------------------------------

  (func $hex_value (param $digit i32) (result i32)
    (if (i32.le_u (local.get $digit) (i32.const 0x39)) (then (return (i32.sub (local.get $digit) (i32.const 0x30)))))
    ;; Bit 5 tells small letters from capital ones.
    (i32.sub (i32.or (local.get $digit) (i32.const 0x20)) (i32.const 0x57)))

  ;; Four digits: 16 bits of UTF-16.
  (func $read_unit (param $at i32) (result i32)
    (i32.or
      (i32.or (i32.shl (call $hex_value (i32.load8_u (local.get $at))) (i32.const 12))
              (i32.shl (call $hex_value (i32.load8_u offset=1 (local.get $at))) (i32.const 8)))
      (i32.or (i32.shl (call $hex_value (i32.load8_u offset=2 (local.get $at))) (i32.const 4))
              (call $hex_value (i32.load8_u offset=3 (local.get $at))))))

  (func $add_continuation (param $bits i32)
    (call $add_byte (i32.or (i32.const 0x80) (i32.and (local.get $bits) (i32.const 0x3f)))))

  ;; A character as UTF-8.
  (func $add_character (param $code i32)
    (if (i32.lt_u (local.get $code) (i32.const 0x80)) (then (call $add_byte (local.get $code)) (return)))
    (if (i32.lt_u (local.get $code) (i32.const 0x800))
      (then (call $add_byte (i32.or (i32.const 0xc0) (i32.shr_u (local.get $code) (i32.const 6)))))
      (else
        (if (i32.lt_u (local.get $code) (i32.const 0x10000))
          (then (call $add_byte (i32.or (i32.const 0xe0) (i32.shr_u (local.get $code) (i32.const 12)))))
          (else
            (call $add_byte (i32.or (i32.const 0xf0) (i32.shr_u (local.get $code) (i32.const 18))))
            (call $add_continuation (i32.shr_u (local.get $code) (i32.const 12)))))
        (call $add_continuation (i32.shr_u (local.get $code) (i32.const 6)))))
    (call $add_continuation (local.get $code)))

  ;; Whether a \u stands there. Asked of the quote that ends a string it looks at the byte behind it as well, which is
  ;; in memory, as the objects that strings are read from end with a bracket.
  (func $is_unit (param $at i32) (result i32)
    (i32.eq (i32.load16_u (local.get $at)) (i32.const 0x755c)))

  ;; Adds what the escape at $at stands for, and gives where it ends.
  (func $add_escaped (param $at i32) (result i32)
    (local $code i32) (local $second i32)
    (if (i32.eqz (call $is_unit (local.get $at)))
      (then
        (local.set $code (i32.load8_u offset=1 (local.get $at)))
        (if (i32.eq (local.get $code) (i32.const 0x62)) (then (local.set $code (i32.const 0x08))))  ;; b
        (if (i32.eq (local.get $code) (i32.const 0x66)) (then (local.set $code (i32.const 0x0c))))  ;; f
        (if (i32.eq (local.get $code) (i32.const 0x6e)) (then (local.set $code (i32.const 0x0a))))  ;; n
        (if (i32.eq (local.get $code) (i32.const 0x72)) (then (local.set $code (i32.const 0x0d))))  ;; r
        (if (i32.eq (local.get $code) (i32.const 0x74)) (then (local.set $code (i32.const 0x09))))  ;; t
        (call $add_byte (local.get $code))
        (return (i32.add (local.get $at) (i32.const 2)))))
    (local.set $code (call $read_unit (i32.add (local.get $at) (i32.const 2))))
    (local.set $at (i32.add (local.get $at) (i32.const 6)))
    (if (i32.eq (i32.and (local.get $code) (i32.const 0xf800)) (i32.const 0xd800))
      (then
        ;; Half of a character. UTF-8 has no way to write one that is without the other.
        (if (i32.and (i32.lt_u (local.get $code) (i32.const 0xdc00)) (call $is_unit (local.get $at)))
          (then (local.set $second (call $read_unit (i32.add (local.get $at) (i32.const 2))))))
        (if (i32.eq (i32.and (local.get $second) (i32.const 0xfc00)) (i32.const 0xdc00))
          (then
            (local.set $code
              (i32.add (i32.const 0x10000)
                (i32.or (i32.shl (i32.and (local.get $code) (i32.const 0x3ff)) (i32.const 10))
                        (i32.and (local.get $second) (i32.const 0x3ff)))))
            (local.set $at (i32.add (local.get $at) (i32.const 6))))
          (else (local.set $code (i32.const 0xfffd))))))
    (call $add_character (local.get $code))
    (local.get $at))

  ;; The text that a string of JSON stands for: that in the quotes, where nothing of it is escaped.
  (func $decode (param $json i64) (result i64)
    (local $inner i64) (local $at i32) (local $end i32) (local $to i32)
    (local.set $inner
      (call $text (i32.add (call $start (local.get $json)) (i32.const 1))
                  (i32.sub (call $size (local.get $json)) (i32.const 2))))
    (if (i32.eqz (call $contains (local.get $inner) (i32.const 0x5c))) (then (return (local.get $inner))))
    (local.set $to (global.get $top))
    (local.set $at (call $start (local.get $inner)))
    (local.set $end (call $end (local.get $inner)))
    (loop $next
      (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 0x5c))
        (then (local.set $at (call $add_escaped (local.get $at))))
        (else
          (call $add_byte (i32.load8_u (local.get $at)))
          (local.set $at (i32.add (local.get $at) (i32.const 1)))))
      (br_if $next (i32.lt_u (local.get $at) (local.get $end))))
    (call $written (local.get $to)))

  ;; A string as it is passed on: as it came, so that megabytes are not taken apart. But \u may stand for half of a
  ;; character, and such strings are written anew.
  (func $sound (param $json i64) (result i64)
    (local $at i32) (local $end i32) (local $text i64) (local $to i32)
    (local.set $at (call $start (local.get $json)))
    (local.set $end (call $end (local.get $json)))
    (block $has_unit
      (loop $next
        (br_if $has_unit (call $is_unit (local.get $at)))
        (local.set $at
          (i32.add (local.get $at)
            (select (i32.const 2) (i32.const 1) (i32.eq (i32.load8_u (local.get $at)) (i32.const 0x5c)))))
        (br_if $next (i32.lt_u (local.get $at) (local.get $end))))
      (return (local.get $json)))
    (local.set $text (call $decode (local.get $json)))
    (local.set $to (global.get $top))
    (call $add_quoted (local.get $text))
    (call $written (local.get $to)))

  ;; The same, with null for whatever is no string.
  (func $sound_or_null (param $value i64) (result i64)
    (if (result i64) (i64.eq (call $kind_of (local.get $value)) (global.get $a_text))
      (then (call $sound (local.get $value)))
      (else (global.get $null))))

  ;; ---- Failures -----------------------------------------------------------------------------------------------------

  (global $failed (mut i32) (i32.const 0))

  ;; All of it is written each time, as an instance that is kept has that of its last failure there.
  (func $fail (param $module i64) (param $class i64) (param $text i64)
    (global.set $failed (i32.const 1))
    (i32.store8 (global.get $reply) (i32.const 1))
    (i64.store offset=4 (global.get $reply) (local.get $class))
    (i64.store offset=12 (global.get $reply) (local.get $module))
    (i64.store offset=20 (global.get $reply) (local.get $text))
    (i32.store8 offset=28 (global.get $reply) (i32.const 0))   ;; no keyword arguments
    (i64.store offset=40 (global.get $reply) (i64.const 0))    ;; no traceback
    (i32.store8 offset=48 (global.get $reply) (i32.const 0)))  ;; not expected

  ;; One that is part of the interface, and what its callers rebuild it with.
  (func $fail_as_expected (param $class i64) (param $text i64) (param $kwargs i64)
    (call $fail (global.get $inventory_exceptions) (local.get $class) (local.get $text))
    (i32.store8 offset=28 (global.get $reply) (i32.const 1))
    (i64.store offset=32 (global.get $reply) (local.get $kwargs))
    (i32.store8 offset=48 (global.get $reply) (i32.const 1)))

  ;; ---- Arguments ----------------------------------------------------------------------------------------------------

  (global $method (mut i64) (i64.const 0))
  (global $args (mut i64) (i64.const 0))
  (global $context (mut i64) (i64.const 0))

  ;; Each parameter: 0 its name, 8 its kind, 16 the value or none, 24 whether it may be missing.
  (global $parameters_end (mut i32) (i32.const 0))

  (func $declare (param $name i64) (param $kind i64) (param $is_optional i32)
    (i64.store (global.get $parameters_end) (local.get $name))
    (i64.store offset=8 (global.get $parameters_end) (local.get $kind))
    (i64.store offset=16 (global.get $parameters_end) (i64.const 0))
    (i32.store offset=24 (global.get $parameters_end) (local.get $is_optional))
    (global.set $parameters_end (i32.add (global.get $parameters_end) (i32.const 32))))

  ;; The value of a parameter, by its place.
  (func $argument (param $place i32) (result i64)
    (i64.load offset=16 (i32.add (global.get $parameters) (i32.mul (local.get $place) (i32.const 32)))))

  ;; Where the parameter $key is; 0 if there is none.
  (func $find_parameter (result i32)
    (local $at i32)
    (local.set $at (global.get $parameters))
    (loop $next
      (if (i32.eq (local.get $at) (global.get $parameters_end)) (then (return (i32.const 0))))
      (if (call $equals (i64.load (local.get $at)) (global.get $key)) (then (return (local.get $at))))
      (local.set $at (i32.add (local.get $at) (i32.const 32)))
      (br $next))
    (unreachable))

  ;; The caller's mistake: the method, what is wrong, the argument, and perhaps why.
  (func $fail_argument (param $problem i64) (param $name i64) (param $needed i64) (param $value i64)
    (local $to i32)
    (local.set $to (global.get $top))
    (call $add (global.get $method))
    (call $add (local.get $problem))
    (call $add (local.get $name))
    (if (i64.eqz (local.get $value))
      (then (call $add_byte (i32.const 0x27)))  ;; '
      (else
        (call $add (global.get $quote_colon))
        (call $add_mismatch (local.get $needed) (local.get $value))))
    (call $fail (global.get $builtins) (global.get $type_error) (call $written (local.get $to))))

  ;; Reads the arguments of what is declared. That they are an object is the host's word.
  (func $read_arguments
    (local $at i32) (local $unknown i64) (local $value i64)
    (call $begin_members (global.get $args))
    (block $read
      (loop $next
        (br_if $read (i32.eqz (call $next_member)))
        (local.set $at (call $find_parameter))
        (if (local.get $at)
          (then (i64.store offset=16 (local.get $at) (global.get $value)))
          (else (if (i64.eqz (local.get $unknown)) (then (local.set $unknown (global.get $key))))))
        (br $next)))
    (local.set $at (global.get $parameters))
    (block $checked
      (loop $next
        (br_if $checked (i32.eq (local.get $at) (global.get $parameters_end)))
        (local.set $value (i64.load offset=16 (local.get $at)))
        (block $fits
          (if (i64.eqz (local.get $value))
            (then
              (br_if $fits (i32.load offset=24 (local.get $at)))
              (return (call $fail_argument (global.get $missing) (i64.load (local.get $at)) (i64.const 0)
                                           (i64.const 0)))))
          (br_if $fits (i64.eq (call $kind_of (local.get $value)) (i64.load offset=8 (local.get $at))))
          (if (i32.and (i64.eq (call $kind_of (local.get $value)) (global.get $null))
                       (i32.load offset=24 (local.get $at)))
            (then
              (i64.store offset=16 (local.get $at) (i64.const 0))
              (br $fits)))
          (return (call $fail_argument (global.get $argument_quote) (i64.load (local.get $at))
                                       (i64.load offset=8 (local.get $at)) (local.get $value))))
        (local.set $at (i32.add (local.get $at) (i32.const 32)))
        (br $next)))
    (if (i64.ne (local.get $unknown) (i64.const 0))
      (then (call $fail_argument (global.get $unexpected) (local.get $unknown) (i64.const 0) (i64.const 0)))))

  ;; ---- The bucket ---------------------------------------------------------------------------------------------------

  ;; Its handle while it is open, else -1. An instance that is kept would use up handles that nobody closes.
  (global $stock (mut i32) (i32.const -1))

  (func $fail_bucket (param $what i64) (param $detail i64) (param $end i64)
    (local $to i32)
    (local.set $to (global.get $top))
    (call $add (local.get $what))
    (call $add (local.get $detail))
    (call $add (local.get $end))
    (call $fail (global.get $endpointd) (global.get $bucket_error) (call $written (local.get $to))))

  (func $open_stock
    (call $store_open (call $start (global.get $inventory)) (call $size (global.get $inventory)) (global.get $returned))
    (if (i32.eqz (i32.load8_u (global.get $returned)))
      (then
        (global.set $stock (i32.load offset=4 (global.get $returned)))
        (return)))
    (if (i32.eqz (i32.load8_u offset=4 (global.get $returned)))
      (then
        (return (call $fail_bucket (global.get $there_is_no_bucket) (global.get $inventory) (global.get $backquote)))))
    (if (i32.eq (i32.load8_u offset=4 (global.get $returned)) (i32.const 1))
      (then
        (return (call $fail_bucket (global.get $the_bucket) (global.get $inventory) (global.get $is_not_granted)))))
    (call $fail_bucket (global.get $the_bucket_failed) (i64.load offset=8 (global.get $returned))
                       (global.get $nothing)))

  ;; What is wrong with a bucket that is open: 0 a byte that says it, 4 a text, which only 2 has.
  (func $fail_stock (param $problem i32)
    (local $why i64)
    (local.set $why (i64.load offset=4 (local.get $problem)))
    (if (i32.eqz (i32.load8_u (local.get $problem))) (then (local.set $why (global.get $it_is_gone))))
    (if (i32.eq (i32.load8_u (local.get $problem)) (i32.const 1))
      (then (local.set $why (global.get $it_is_no_longer_granted))))
    (call $fail_bucket (global.get $the_bucket_failed) (local.get $why) (global.get $nothing)))

  ;; A text that may be none, as the contract has it.
  (func $option (param $at i32) (result i64)
    (if (result i64) (i32.load8_u (local.get $at))
      (then (i64.load offset=4 (local.get $at)))
      (else (i64.const 0))))

  ;; The JSON that a value of the bucket is; others may have written something else.
  (func $stored (param $text i64) (param $kind i64) (result i64)
    (local $value i64) (local $to i32)
    (local.set $value (call $value_of (local.get $text)))
    (local.set $to (global.get $top))
    (if (i64.eqz (local.get $value))
      (then
        (call $add (global.get $no_json_at_byte))
        (call $add_integer (i64.extend_i32_u (i32.sub (global.get $at) (call $start (local.get $text))))))
      (else
        (if (i64.eq (call $kind_of (local.get $value)) (local.get $kind)) (then (return (local.get $value))))
        (call $add_mismatch (local.get $kind) (local.get $value))))
    (call $fail_bucket (global.get $not_as_expected) (call $written (local.get $to)) (global.get $nothing))
    (i64.const 0))

  ;; The value of a key; none if there is none, or if it failed.
  (func $get_stored (param $key i64) (param $kind i64) (result i64)
    (local $text i64)
    (call $bucket_get (global.get $stock) (call $start (local.get $key)) (call $size (local.get $key))
                      (global.get $returned))
    (if (i32.load8_u (global.get $returned))
      (then
        (call $fail_stock (i32.add (global.get $returned) (i32.const 4)))
        (return (i64.const 0))))
    (local.set $text (call $option (i32.add (global.get $returned) (i32.const 4))))
    (if (i64.eqz (local.get $text)) (then (return (i64.const 0))))
    (call $stored (local.get $text) (local.get $kind)))

  ;; Replaces an item, and gives what its quantity was, as JSON. Who writes in between has it done again.
  (func $replace (param $key i64) (param $item i64) (result i64)
    (local $cas i32) (local $text i64) (local $value i64) (local $previous i64)
    (call $cas_open (global.get $stock) (call $start (local.get $key)) (call $size (local.get $key))
                    (global.get $returned))
    (if (i32.load8_u (global.get $returned))
      (then
        (call $fail_stock (i32.add (global.get $returned) (i32.const 4)))
        (return (i64.const 0))))
    (local.set $cas (i32.load offset=4 (global.get $returned)))
    (local.set $text (call $option (i32.add (global.get $returned) (i32.const 8))))
    (loop $again
      (local.set $previous (i64.const 0))
      (if (i64.ne (local.get $text) (i64.const 0))
        (then
          (local.set $value (call $stored (local.get $text) (global.get $an_object)))
          (if (global.get $failed)
            (then
              (call $cas_close (local.get $cas))
              (return (i64.const 0))))
          (local.set $previous (call $member (local.get $value) (global.get $quantity)))))
      ;; It takes the handle, whatever comes of it.
      (call $cas_swap (local.get $cas) (call $start (local.get $item)) (call $size (local.get $item))
                      (global.get $returned))
      (if (i32.load8_u (global.get $returned))
        (then
          (if (i32.eqz (i32.load8_u offset=4 (global.get $returned)))
            (then
              (call $fail_stock (i32.add (global.get $returned) (i32.const 8)))
              (return (i64.const 0))))
          (local.set $cas (i32.load offset=8 (global.get $returned)))
          (local.set $text (call $option (i32.add (global.get $returned) (i32.const 12))))
          (br $again))))
    (select (global.get $null) (local.get $previous) (i64.eqz (local.get $previous))))

  ;; A list of the keys that begin with this. The host gives them by the page, and allocates each page: so with every
  ;; page the list is begun anew behind it, with what it had so far.
  (func $keys_with (param $prefix i64) (result i64)
    (local $list i64) (local $cursor i64) (local $at i32) (local $end i32) (local $to i32)
    (local.set $list (call $text (global.get $top) (i32.const 0)))
    (loop $next_page
      (call $bucket_keys (global.get $stock) (i64.ne (local.get $cursor) (i64.const 0))
                         (call $start (local.get $cursor)) (call $size (local.get $cursor)) (global.get $returned))
      (if (i32.load8_u (global.get $returned))
        (then
          (call $fail_stock (i32.add (global.get $returned) (i32.const 4)))
          (return (i64.const 0))))
      (local.set $at (i32.load offset=4 (global.get $returned)))
      (local.set $end (i32.add (local.get $at) (i32.mul (i32.load offset=8 (global.get $returned)) (i32.const 8))))
      (local.set $cursor (call $option (i32.add (global.get $returned) (i32.const 12))))
      (local.set $to (global.get $top))
      (call $add (call $text (call $start (local.get $list)) (i32.mul (call $size (local.get $list)) (i32.const 8))))
      (block $done
        (loop $next
          (br_if $done (i32.eq (local.get $at) (local.get $end)))
          (if (call $begins_with (i64.load (local.get $at)) (local.get $prefix))
            (then (call $add (call $text (local.get $at) (i32.const 8)))))
          (local.set $at (i32.add (local.get $at) (i32.const 8)))
          (br $next)))
      (local.set $list
        (call $text (local.get $to) (i32.div_u (i32.sub (global.get $top) (local.get $to)) (i32.const 8))))
      (br_if $next_page (i64.ne (local.get $cursor) (i64.const 0))))
    (local.get $list))

  ;; The name of the item that the entry of such a list is the key of.
  (func $name_at (param $entry i32) (result i64)
    (call $after (i64.load (local.get $entry)) (call $size (global.get $item_slash))))

  (func $list_end (param $list i64) (result i32)
    (i32.add (call $start (local.get $list)) (i32.mul (call $size (local.get $list)) (i32.const 8))))

  (func $key_of (param $name i64) (result i64)
    (local $to i32)
    (local.set $to (global.get $top))
    (call $add (global.get $item_slash))
    (call $add (local.get $name))
    (call $written (local.get $to)))

  ;; ---- The method put -----------------------------------------------------------------------------------------------

  ;; {"name": NAME, "quantity": QUANTITY, without its end, as everything here goes on otherwise.
  (func $add_name_and_quantity (param $name_json i64) (param $quantity i64)
    (call $add (global.get $open_name))
    (call $add (local.get $name_json))
    (call $add (global.get $comma_quantity))
    (call $add_integer (local.get $quantity)))

  (func $fail_quantity (param $name i64) (param $name_json i64) (param $quantity i64)
    (local $to i32) (local $kwargs i64)
    (local.set $to (global.get $top))
    (call $add_name_and_quantity (local.get $name_json) (local.get $quantity))
    (call $add (global.get $close))
    (local.set $kwargs (call $written (local.get $to)))
    (local.set $to (global.get $top))
    (call $add (global.get $the_quantity_of))
    (call $add (local.get $name))
    (call $add (global.get $cannot_be))
    (call $add_integer (local.get $quantity))
    (call $fail_as_expected (global.get $invalid_quantity) (call $written (local.get $to)) (local.get $kwargs)))

  (func $log_put (param $name i64) (param $quantity i64)
    (local $to i32) (local $line i64)
    ;; Asked for first: the host allocates the id.
    (call $call_id (global.get $returned))
    (local.set $to (global.get $top))
    (call $add (local.get $name))
    (call $add (global.get $colon))
    (call $add_integer (local.get $quantity))
    (call $add (global.get $by_request))
    (call $add (i64.load (global.get $returned)))
    (local.set $line (call $written (local.get $to)))
    ;; Level 2 is info. The context is empty, which is an address as well.
    (call $log (i32.const 2) (call $start (global.get $nothing)) (i32.const 0)
               (call $start (local.get $line)) (call $size (local.get $line))))

  ;; What went wrong with a message to others; where they have failed, this fails as they did.
  (func $fail_client
    (local $kind i32) (local $to i32)
    (local.set $kind (i32.load8_u offset=4 (global.get $returned)))
    (if (i32.eqz (local.get $kind))
      (then
        (local.set $to (global.get $top))
        (call $add (global.get $not_granted))
        (call $add (i64.load offset=8 (global.get $returned)))
        (return (call $fail (global.get $endpointd) (global.get $client_error) (call $written (local.get $to))))))
    (if (i32.eq (local.get $kind) (i32.const 1))
      (then
        (return (call $fail (global.get $endpointd) (global.get $client_error)
                            (i64.load offset=8 (global.get $returned))))))
    (if (i32.eq (local.get $kind) (i32.const 2))
      (then
        (return (call $fail (global.get $oslo_exceptions) (global.get $messaging_timeout) (global.get $no_reply)))))
    (if (i32.eq (local.get $kind) (i32.const 3))
      (then
        (return (call $fail (global.get $oslo_exceptions) (global.get $message_undeliverable)
                            (global.get $no_server_listens)))))
    (if (i32.eq (local.get $kind) (i32.const 4))
      (then
        (return (call $fail (global.get $oslo_exceptions) (global.get $message_delivery_failure)
                            (i64.load offset=8 (global.get $returned))))))
    ;; Theirs lies here as it does in a reply, from its class to its end.
    (global.set $failed (i32.const 1))
    (i32.store8 (global.get $reply) (i32.const 1))
    (memory.copy (i32.add (global.get $reply) (i32.const 4)) (i32.add (global.get $returned) (i32.const 8))
                 (i32.const 48)))

  ;; Orders what is missing, where the operator said how much there should be. Gives what the supplier answers.
  (func $order (param $name_json i64) (param $quantity i64) (result i64)
    (local $setting i64) (local $to i32)
    (call $config_get (call $start (global.get $reorder_below)) (call $size (global.get $reorder_below))
                      (global.get $returned))
    (if (i32.load8_u (global.get $returned)) (then (return (global.get $null))))
    (local.set $setting (call $option (i32.add (global.get $returned) (i32.const 4))))
    (if (i64.eqz (local.get $setting)) (then (return (global.get $null))))
    (if (i64.ne (call $kind_of (call $value_of (local.get $setting))) (global.get $an_integer))
      (then
        (call $fail (global.get $builtins) (global.get $value_error) (global.get $setting_is_wrong))
        (return (i64.const 0))))
    (if (i64.ge_s (local.get $quantity) (global.get $number)) (then (return (global.get $null))))
    (local.set $to (global.get $top))
    (call $add_name_and_quantity (local.get $name_json) (i64.sub (global.get $number) (local.get $quantity)))
    (call $add (global.get $close))
    ;; What is not written here stays 0: no exchange, no server, no namespace, no time limit and no context of its own.
    (i64.store offset=12 (global.get $message) (global.get $suppliers))
    (i32.store8 offset=44 (global.get $message) (i32.const 1))
    (i64.store offset=48 (global.get $message) (global.get $version_1_0))
    (i64.store offset=56 (global.get $message) (global.get $order))
    (i64.store offset=64 (global.get $message) (call $written (local.get $to)))
    (call $client_call (global.get $message) (global.get $returned))
    (if (i32.load8_u (global.get $returned))
      (then
        (call $fail_client)
        (return (i64.const 0))))
    (i64.load offset=4 (global.get $returned)))

  (func $put (result i64)
    (local $name_json i64) (local $name i64) (local $quantity i64) (local $note_json i64) (local $by_json i64)
    (local $item i64) (local $previous i64) (local $order i64) (local $to i32)
    (call $declare (global.get $name) (global.get $a_text) (i32.const 0))
    (call $declare (global.get $quantity) (global.get $an_integer) (i32.const 0))
    (call $declare (global.get $note) (global.get $a_text) (i32.const 1))
    (call $read_arguments)
    (if (global.get $failed) (then (return (i64.const 0))))
    (local.set $name_json (call $sound (call $argument (i32.const 0))))
    (local.set $name (call $decode (local.get $name_json)))
    (drop (call $read_integer (call $argument (i32.const 1))))
    (local.set $quantity (global.get $number))
    (if (i32.eqz (call $size (local.get $name)))
      (then
        (call $fail (global.get $builtins) (global.get $value_error) (global.get $a_name_is_needed))
        (return (i64.const 0))))
    (if (i64.lt_s (local.get $quantity) (i64.const 0))
      (then
        (call $fail_quantity (local.get $name) (local.get $name_json) (local.get $quantity))
        (return (i64.const 0))))
    (local.set $note_json (call $sound_or_null (call $argument (i32.const 2))))
    (local.set $by_json (call $sound_or_null (call $member (global.get $context) (global.get $user))))
    (local.set $to (global.get $top))
    (call $add_name_and_quantity (local.get $name_json) (local.get $quantity))
    (call $add (global.get $comma_note))
    (call $add (local.get $note_json))
    (call $add (global.get $comma_by))
    (call $add (local.get $by_json))
    (call $add (global.get $close))
    (local.set $item (call $written (local.get $to)))
    (call $open_stock)
    (if (global.get $failed) (then (return (i64.const 0))))
    (local.set $previous (call $replace (call $key_of (local.get $name)) (local.get $item)))
    (if (global.get $failed) (then (return (i64.const 0))))
    (call $atomics_increment (global.get $stock) (call $start (global.get $puts)) (call $size (global.get $puts))
                             (i64.const 1) (global.get $returned))
    ;; The sum would be at 8, where its 8 bytes are aligned, and so is the problem.
    (if (i32.load8_u (global.get $returned))
      (then
        (call $fail_stock (i32.add (global.get $returned) (i32.const 8)))
        (return (i64.const 0))))
    (call $log_put (local.get $name) (local.get $quantity))
    (local.set $order (call $order (local.get $name_json) (local.get $quantity)))
    (if (global.get $failed) (then (return (i64.const 0))))
    ;; The item goes on where it ended.
    (local.set $to (global.get $top))
    (call $add (call $text (call $start (local.get $item)) (i32.sub (call $size (local.get $item)) (i32.const 1))))
    (call $add (global.get $comma_previous))
    (call $add (local.get $previous))
    (call $add (global.get $comma_order))
    (call $add (local.get $order))
    (call $add (global.get $close))
    (call $written (local.get $to)))

  ;; ---- The other methods --------------------------------------------------------------------------------------------

  (func $get (result i64)
    (local $name_json i64) (local $name i64) (local $item i64) (local $kwargs i64) (local $to i32)
    (call $declare (global.get $name) (global.get $a_text) (i32.const 0))
    (call $read_arguments)
    (if (global.get $failed) (then (return (i64.const 0))))
    (local.set $name_json (call $sound (call $argument (i32.const 0))))
    (local.set $name (call $decode (local.get $name_json)))
    (call $open_stock)
    (if (global.get $failed) (then (return (i64.const 0))))
    (local.set $item (call $get_stored (call $key_of (local.get $name)) (global.get $an_object)))
    (if (i32.or (global.get $failed) (i64.ne (local.get $item) (i64.const 0))) (then (return (local.get $item))))
    (local.set $to (global.get $top))
    (call $add (global.get $open_name))
    (call $add (local.get $name_json))
    (call $add (global.get $close))
    (local.set $kwargs (call $written (local.get $to)))
    (local.set $to (global.get $top))
    (call $add (global.get $there_is_no_item))
    (call $add (local.get $name))
    (call $fail_as_expected (global.get $item_not_found) (call $written (local.get $to)) (local.get $kwargs))
    (i64.const 0))

  (func $list (result i64)
    (local $prefix i64) (local $keys i64) (local $at i32) (local $to i32)
    (call $declare (global.get $prefix) (global.get $a_text) (i32.const 1))
    (call $read_arguments)
    (if (global.get $failed) (then (return (i64.const 0))))
    (local.set $prefix (global.get $nothing))
    (if (i64.ne (call $argument (i32.const 0)) (i64.const 0))
      (then (local.set $prefix (call $decode (call $argument (i32.const 0))))))
    (call $open_stock)
    (if (global.get $failed) (then (return (i64.const 0))))
    (local.set $keys (call $keys_with (call $key_of (local.get $prefix))))
    (if (global.get $failed) (then (return (i64.const 0))))
    (local.set $at (call $start (local.get $keys)))
    (local.set $to (global.get $top))
    (call $add_byte (i32.const 0x5b))
    (block $done
      (loop $next
        (br_if $done (i32.eq (local.get $at) (call $list_end (local.get $keys))))
        (if (i32.ne (local.get $at) (call $start (local.get $keys))) (then (call $add_byte (i32.const 0x2c))))
        (call $add_quoted (call $name_at (local.get $at)))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (br $next)))
    (call $add_byte (i32.const 0x5d))
    (call $written (local.get $to)))

  (func $count (result i64)
    (local $keys i64) (local $at i32) (local $to i32) (local $item i64) (local $items i64) (local $quantity i64)
    (local $sum i64) (local $puts i64)
    (call $read_arguments)
    (if (global.get $failed) (then (return (i64.const 0))))
    (call $open_stock)
    (if (global.get $failed) (then (return (i64.const 0))))
    (local.set $keys (call $keys_with (global.get $item_slash)))
    (if (global.get $failed) (then (return (i64.const 0))))
    (local.set $at (call $start (local.get $keys)))
    (local.set $to (global.get $top))
    (block $done
      (loop $next
        (br_if $done (i32.eq (local.get $at) (call $list_end (local.get $keys))))
        (local.set $item (call $get_stored (i64.load (local.get $at)) (global.get $an_object)))
        (if (global.get $failed) (then (return (i64.const 0))))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        ;; Somebody may have removed it meanwhile.
        (br_if $next (i64.eqz (local.get $item)))
        (local.set $items (i64.add (local.get $items) (i64.const 1)))
        (local.set $quantity (i64.const 0))
        (if (i64.eq (call $kind_of (call $member (local.get $item) (global.get $quantity))) (global.get $an_integer))
          (then (local.set $quantity (global.get $number))))
        (local.set $sum (i64.add (local.get $sum) (local.get $quantity)))
        ;; A sum that went the other way than what was added to it went past the end.
        (if (i32.ne (i64.lt_s (local.get $quantity) (i64.const 0))
                    (i64.lt_s (local.get $sum) (i64.sub (local.get $sum) (local.get $quantity))))
          (then
            (call $fail (global.get $builtins) (global.get $overflow_error) (global.get $more_than_64_bits))
            (return (i64.const 0))))
        ;; What was read of one item is not needed for the next, so that a large stock is never in memory as a whole.
        (global.set $top (local.get $to))
        (br $next)))
    (local.set $puts (call $get_stored (global.get $puts) (global.get $an_integer)))
    (if (global.get $failed) (then (return (i64.const 0))))
    (local.set $to (global.get $top))
    (call $add (global.get $open_items))
    (call $add_integer (local.get $items))
    (call $add (global.get $comma_quantity))
    (call $add_integer (local.get $sum))
    (call $add (global.get $comma_puts))
    (call $add (select (global.get $zero) (local.get $puts) (i64.eqz (local.get $puts))))
    (call $add (global.get $close))
    (call $written (local.get $to)))

  (func $checksum (result i64)
    (local $rounds i64) (local $keys i64) (local $at i32) (local $to i32) (local $sum i32) (local $byte i32)
    (local $byte_end i32)
    (call $declare (global.get $rounds) (global.get $an_integer) (i32.const 1))
    (call $read_arguments)
    (if (global.get $failed) (then (return (i64.const 0))))
    (local.set $rounds (i64.const 1))
    (if (i64.ne (call $argument (i32.const 0)) (i64.const 0))
      (then
        (drop (call $read_integer (call $argument (i32.const 0))))
        (local.set $rounds (global.get $number))))
    (call $open_stock)
    (if (global.get $failed) (then (return (i64.const 0))))
    (local.set $keys (call $keys_with (global.get $item_slash)))
    (if (global.get $failed) (then (return (i64.const 0))))
    (local.set $sum (i32.const 2166136261))
    (block $done
      (loop $next_round
        (br_if $done (i64.le_s (local.get $rounds) (i64.const 0)))
        (local.set $rounds (i64.sub (local.get $rounds) (i64.const 1)))
        (local.set $at (call $start (local.get $keys)))
        (loop $next_name
          (br_if $next_round (i32.eq (local.get $at) (call $list_end (local.get $keys))))
          (local.set $byte (call $start (call $name_at (local.get $at))))
          (local.set $byte_end (call $end (call $name_at (local.get $at))))
          (local.set $at (i32.add (local.get $at) (i32.const 8)))
          (loop $next_byte
            (br_if $next_name (i32.eq (local.get $byte) (local.get $byte_end)))
            (local.set $sum
              (i32.mul (i32.xor (local.get $sum) (i32.load8_u (local.get $byte))) (i32.const 16777619)))
            (local.set $byte (i32.add (local.get $byte) (i32.const 1)))
            (br $next_byte)))))
    (local.set $to (global.get $top))
    (call $add_integer (i64.extend_i32_u (local.get $sum)))
    (call $written (local.get $to)))

  ;; ---- What the host calls ------------------------------------------------------------------------------------------

  (func (export "targets") (result i32)
    (i32.store (global.get $target_list) (global.get $target))
    (i32.store offset=4 (global.get $target_list) (i32.const 1))
    ;; The byte before that says whether there is a namespace stays 0: this is the null namespace.
    (i64.store offset=12 (global.get $target) (global.get $version_1_1))
    (i32.store offset=20 (global.get $target) (global.get $methods))
    (i32.store offset=24 (global.get $target) (i32.const 5))
    (i64.store (global.get $methods) (global.get $method_put))
    (i64.store offset=8 (global.get $methods) (global.get $method_get))
    (i64.store offset=16 (global.get $methods) (global.get $method_list))
    (i64.store offset=24 (global.get $methods) (global.get $method_count))
    (i64.store offset=32 (global.get $methods) (global.get $method_checksum))
    (global.get $target_list))

  (func $answer (result i64)
    (if (call $equals (global.get $method) (global.get $method_put)) (then (return (call $put))))
    (if (call $equals (global.get $method) (global.get $method_get)) (then (return (call $get))))
    (if (call $equals (global.get $method) (global.get $method_list)) (then (return (call $list))))
    (if (call $equals (global.get $method) (global.get $method_count)) (then (return (call $count))))
    (if (call $equals (global.get $method) (global.get $method_checksum)) (then (return (call $checksum))))
    ;; The host lets nothing through that `targets` does not have.
    (unreachable))

  ;; Namespace and version tell several targets apart; here is one, which the host has compared them with.
  (func (export "dispatch") (param $has_namespace i32) (param $namespace i32) (param $namespace_size i32)
                            (param $version i32) (param $version_size i32) (param $method i32) (param $method_size i32)
                            (param $args i32) (param $args_size i32) (param $context i32) (param $context_size i32)
                            (result i32)
    (local $result i64)
    (global.set $failed (i32.const 0))
    (global.set $parameters_end (global.get $parameters))
    (global.set $method (call $text (local.get $method) (local.get $method_size)))
    (global.set $args (call $text (local.get $args) (local.get $args_size)))
    (global.set $context (call $text (local.get $context) (local.get $context_size)))
    (local.set $result (call $answer))
    ;; Here and not in the post-return function, which may call no import.
    (if (i32.ne (global.get $stock) (i32.const -1))
      (then
        (call $bucket_close (global.get $stock))
        (global.set $stock (i32.const -1))))
    (if (i32.eqz (global.get $failed))
      (then
        (i32.store8 (global.get $reply) (i32.const 0))
        (i64.store offset=4 (global.get $reply) (local.get $result))))
    (global.get $reply))

  ;; The host has read the reply: all memory is free for the next request.
  (func (export "cabi_post_dispatch") (param $reply i32)
    (global.set $top (global.get $heap))))
