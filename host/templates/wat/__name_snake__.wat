;; What the plugin answers. This file is the plugin: nothing builds it.
;;
;; A text is one i64: where it begins in the lower half, how many bytes it has in the upper one. In memory the contract
;; has both as i32 in this order, so that one load or store moves a text. Zero is no text, which is not the same as an
;; empty one. JSON is read and written as the text that it is.
(module
  ;; ---- What the host offers: endpointd.wit has all of it ------------------------------------------------------------

  (import "wasi:logging/logging@0.1.0-draft" "log"
    (func $log (param $level i32) (param $context i32) (param $context_size i32)
               (param $message i32) (param $message_size i32)))
  (import "wasi:config/store@0.2.0-rc.1" "get"
    (func $config_get (param $key i32) (param $key_size i32) (param $to i32)))

  ;; ---- Memory: what is where ----------------------------------------------------------------------------------------

  (memory (export "memory") 1)

  (global $reply i32 (i32.const 0x10))     ;; what dispatch returns: 52 bytes
  (global $returned i32 (i32.const 0x50))  ;; what an import returns
  (global $target_list i32 (i32.const 0x80))
  (global $target i32 (i32.const 0x88))
  (global $methods i32 (i32.const 0xa8))

  ;; The texts of the plugin. Each has 64 bytes for itself and ends at the first that is zero, so that nobody need count
  ;; them: $literal does.

  (global $version i32 (i32.const 0x100))        (data (i32.const 0x100) "1.0")
  (global $method_greet i32 (i32.const 0x140))   (data (i32.const 0x140) "greet")
  (global $quoted_name i32 (i32.const 0x180))    (data (i32.const 0x180) "\22name\22")
  (global $greeting i32 (i32.const 0x1c0))       (data (i32.const 0x1c0) "greeting")
  (global $hello i32 (i32.const 0x200))          (data (i32.const 0x200) "Hello")
  (global $comma_space i32 (i32.const 0x240))    (data (i32.const 0x240) ", ")
  (global $greeting_space i32 (i32.const 0x280)) (data (i32.const 0x280) "greeting ")
  (global $builtins i32 (i32.const 0x2c0))       (data (i32.const 0x2c0) "builtins")
  (global $type_error i32 (i32.const 0x300))     (data (i32.const 0x300) "TypeError")
  (global $value_error i32 (i32.const 0x340))    (data (i32.const 0x340) "ValueError")
  (global $empty_name i32 (i32.const 0x380))     (data (i32.const 0x380) "a name is needed")
  (global $no_name i32 (i32.const 0x3c0))        (data (i32.const 0x3c0) "greet() missing a required argument: 'name'")
  (global $no_text i32 (i32.const 0x400))        (data (i32.const 0x400) "greet() argument 'name': text is needed")
  (global $unexpected i32 (i32.const 0x440))     (data (i32.const 0x440) "greet() got an unexpected keyword argument '")
  (global $u00 i32 (i32.const 0x480))            (data (i32.const 0x480) "\5cu00")
  (global $hex_digits i32 (i32.const 0x4c0))     (data (i32.const 0x4c0) "0123456789abcdef")

  ;; What is taken of the rest during a request. It is given back all at once.
  (global $heap i32 (i32.const 0x500))
  (global $top (mut i32) (i32.const 0x500))

  ;; ---- Callers use greet(name="Ada") --------------------------------------------------------------------------------

  ;; Gives the result as JSON; nothing after a failure.
  (func $greet (param $args i64) (result i64)
    (local $name i64) (local $unknown i64) (local $greeting i64) (local $line i64) (local $to i32)
    (call $begin_members (local.get $args))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (call $next_member)))
        (if (call $equals (global.get $key) (call $literal (global.get $quoted_name)))
          (then (local.set $name (global.get $value)))
          (else (local.set $unknown (global.get $key))))
        (br $next)))
    (if (i64.eqz (local.get $name))
      (then (return (call $fail (global.get $type_error) (call $literal (global.get $no_name))))))
    (if (i32.ne (i32.load8_u (call $start (local.get $name))) (i32.const 0x22))
      (then (return (call $fail (global.get $type_error) (call $literal (global.get $no_text))))))
    (if (i64.ne (local.get $unknown) (i64.const 0))
      (then
        (local.set $to (global.get $top))
        (call $add (call $literal (global.get $unexpected)))
        (call $add (call $unquoted (local.get $unknown)))
        (call $add_byte (i32.const 0x27))  ;; '
        (return (call $fail (global.get $type_error) (call $written (local.get $to))))))
    ;; Escapes are left as they came, in the log as well: so no text need be taken apart.
    (local.set $name (call $unquoted (local.get $name)))
    (if (i32.eqz (call $size (local.get $name)))
      (then (return (call $fail (global.get $value_error) (call $literal (global.get $empty_name))))))
    (local.set $to (global.get $top))
    (call $add (call $literal (global.get $greeting_space)))
    (call $add (local.get $name))
    (local.set $line (call $written (local.get $to)))
    ;; Level 2 is info. The context is empty, which is an address as well.
    (call $log (i32.const 2) (global.get $heap) (i32.const 0)
               (call $start (local.get $line)) (call $size (local.get $line)))
    (local.set $greeting (call $setting (call $literal (global.get $greeting)) (call $literal (global.get $hello))))
    (local.set $to (global.get $top))
    (call $add_byte (i32.const 0x22))  ;; "
    (call $add_escaped (local.get $greeting))
    (call $add (call $literal (global.get $comma_space)))
    (call $add (local.get $name))
    (call $add_byte (i32.const 0x22))
    (call $written (local.get $to)))

  ;; ---- What the host calls ------------------------------------------------------------------------------------------

  (func (export "targets") (result i32)
    (i32.store (global.get $target_list) (global.get $target))
    (i32.store offset=4 (global.get $target_list) (i32.const 1))
    ;; The byte before that says whether there is a namespace stays 0: this is the null namespace.
    (i64.store offset=12 (global.get $target) (call $literal (global.get $version)))
    (i32.store offset=20 (global.get $target) (global.get $methods))
    (i32.store offset=24 (global.get $target) (i32.const 1))
    (i64.store (global.get $methods) (call $literal (global.get $method_greet)))
    (global.get $target_list))

  (func (export "dispatch") (param $has_namespace i32) (param $namespace i32) (param $namespace_size i32)
                            (param $version i32) (param $version_size i32) (param $method i32) (param $method_size i32)
                            (param $args i32) (param $args_size i32) (param $context i32) (param $context_size i32)
                            (result i32)
    (local $asked i64) (local $result i64)
    (local.set $asked (call $text (local.get $method) (local.get $method_size)))
    (block $answered
      (if (call $equals (local.get $asked) (call $literal (global.get $method_greet)))
        (then
          (local.set $result (call $greet (call $text (local.get $args) (local.get $args_size))))
          (br $answered)))
      ;; The host lets nothing through that `targets` does not have.
      (unreachable))
    (if (i64.ne (local.get $result) (i64.const 0))
      (then
        (i32.store8 (global.get $reply) (i32.const 0))
        (i64.store offset=4 (global.get $reply) (local.get $result))))
    (global.get $reply))

  ;; The host has read the reply: all memory is free for the next request.
  (func (export "cabi_post_dispatch") (param $reply i32)
    (global.set $top (global.get $heap)))

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

  ;; ---- Failures -----------------------------------------------------------------------------------------------------

  ;; One of Python's own exceptions. It gives nothing, as what fails does.
  (func $fail (param $class i32) (param $text i64) (result i64)
    (i32.store8 (global.get $reply) (i32.const 1))
    (i64.store offset=4 (global.get $reply) (call $literal (local.get $class)))
    (i64.store offset=12 (global.get $reply) (call $literal (global.get $builtins)))
    (i64.store offset=20 (global.get $reply) (local.get $text))
    (i32.store8 offset=28 (global.get $reply) (i32.const 0))  ;; no keyword arguments
    (i64.store offset=40 (global.get $reply) (i64.const 0))   ;; no traceback
    (i32.store8 offset=48 (global.get $reply) (i32.const 0))  ;; to be logged
    (i64.const 0))

  ;; ---- Settings -----------------------------------------------------------------------------------------------------

  (func $setting (param $name i64) (param $otherwise i64) (result i64)
    (call $config_get (call $start (local.get $name)) (call $size (local.get $name)) (global.get $returned))
    ;; At 0 is whether it went wrong, at 4 whether there is one.
    (if (result i64) (i32.and (i32.eqz (i32.load8_u (global.get $returned)))
                              (i32.load8_u offset=4 (global.get $returned)))
      (then (i64.load offset=8 (global.get $returned)))
      (else (local.get $otherwise))))

  ;; ---- Reading JSON -------------------------------------------------------------------------------------------------
  ;;
  ;; The host hands over nothing but a JSON object, so that this finds its way and checks nothing.

  (global $at (mut i32) (i32.const 0))
  ;; The member that was read last; a key is as it is written, in its quotes.
  (global $key (mut i64) (i64.const 0))
  (global $value (mut i64) (i64.const 0))

  (func $step
    (global.set $at (i32.add (global.get $at) (i32.const 1))))

  (func $is_at (param $byte i32) (result i32)
    (i32.eq (i32.load8_u (global.get $at)) (local.get $byte)))

  (func $read_since (param $start i32) (result i64)
    (call $text (local.get $start) (i32.sub (global.get $at) (local.get $start))))

  ;; Space, and what stands between members.
  (func $skip_between
    (loop $more
      (if (i32.or (i32.le_u (i32.load8_u (global.get $at)) (i32.const 0x20))
                  (i32.or (call $is_at (i32.const 0x2c)) (call $is_at (i32.const 0x3a))))  ;; , :
        (then
          (call $step)
          (br $more)))))

  (func $skip_string
    (loop $more
      (call $step)
      (if (call $is_at (i32.const 0x5c))  ;; \
        (then
          (call $step)
          (br $more)))
      (br_if $more (i32.eqz (call $is_at (i32.const 0x22)))))
    (call $step))

  (func $skip_value
    (local $depth i32)
    (loop $more
      (if (call $is_at (i32.const 0x22))
        (then (call $skip_string))
        (else
          ;; { and [ differ in one bit, and so do } and ].
          (local.set $depth
            (i32.sub
              (i32.add (local.get $depth)
                       (i32.eq (i32.or (i32.load8_u (global.get $at)) (i32.const 0x20)) (i32.const 0x7b)))
              (i32.eq (i32.or (i32.load8_u (global.get $at)) (i32.const 0x20)) (i32.const 0x7d))))
          (call $step)))
      (br_if $more (local.get $depth))
      ;; A text ends with its quote. What else there is goes on to what follows it, which its last byte does not tell.
      (br_if $more
        (i32.and (i32.ne (i32.load8_u (i32.sub (global.get $at) (i32.const 1))) (i32.const 0x22))
                 (i32.eqz (i32.or (call $is_at (i32.const 0x2c)) (call $is_at (i32.const 0x7d))))))))

  (func $begin_members (param $object i64)
    (global.set $at (call $start (local.get $object)))
    (loop $more
      (call $step)
      (br_if $more (i32.ne (i32.load8_u (i32.sub (global.get $at) (i32.const 1))) (i32.const 0x7b)))))  ;; {

  (func $next_member (result i32)
    (local $start i32)
    (call $skip_between)
    (if (call $is_at (i32.const 0x7d)) (then (return (i32.const 0))))  ;; }
    (local.set $start (global.get $at))
    (call $skip_string)
    (global.set $key (call $read_since (local.get $start)))
    (call $skip_between)
    (local.set $start (global.get $at))
    (call $skip_value)
    (global.set $value (call $read_since (local.get $start)))
    (i32.const 1))

  (func $unquoted (param $string i64) (result i64)
    (call $text (i32.add (call $start (local.get $string)) (i32.const 1))
                (i32.sub (call $size (local.get $string)) (i32.const 2))))

  ;; ---- Texts --------------------------------------------------------------------------------------------------------

  (func $text (param $start i32) (param $size i32) (result i64)
    (i64.or (i64.extend_i32_u (local.get $start))
            (i64.shl (i64.extend_i32_u (local.get $size)) (i64.const 32))))

  (func $start (param $text i64) (result i32)
    (i32.wrap_i64 (local.get $text)))

  (func $size (param $text i64) (result i32)
    (i32.wrap_i64 (i64.shr_u (local.get $text) (i64.const 32))))

  (func $literal (param $start i32) (result i64)
    (local $end i32)
    (local.set $end (local.get $start))
    (loop $more
      (if (i32.load8_u (local.get $end))
        (then
          (local.set $end (i32.add (local.get $end) (i32.const 1)))
          (br $more))))
    (call $text (local.get $start) (i32.sub (local.get $end) (local.get $start))))

  (func $equals (param $one i64) (param $other i64) (result i32)
    (local $at i32)
    (if (i32.ne (call $size (local.get $one)) (call $size (local.get $other))) (then (return (i32.const 0))))
    (loop $next
      (if (i32.eq (local.get $at) (call $size (local.get $one))) (then (return (i32.const 1))))
      (if (i32.ne (i32.load8_u (i32.add (call $start (local.get $one)) (local.get $at)))
                  (i32.load8_u (i32.add (call $start (local.get $other)) (local.get $at))))
        (then (return (i32.const 0))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br $next))
    (unreachable))

  ;; ---- Writing, at $top ---------------------------------------------------------------------------------------------
  ;;
  ;; What is written piece by piece is one text, as long as no import in between returns texts, which are put there too.

  (func $add (param $text i64)
    (call $make_room (call $size (local.get $text)))
    (memory.copy (global.get $top) (call $start (local.get $text)) (call $size (local.get $text)))
    (global.set $top (i32.add (global.get $top) (call $size (local.get $text)))))

  (func $add_byte (param $byte i32)
    (call $make_room (i32.const 1))
    (i32.store8 (global.get $top) (local.get $byte))
    (global.set $top (i32.add (global.get $top) (i32.const 1))))

  ;; A text as it stands in quotes.
  (func $add_escaped (param $text i64)
    (local $at i32) (local $byte i32)
    (block $done
      (loop $next
        (br_if $done (i32.eq (local.get $at) (call $size (local.get $text))))
        (local.set $byte (i32.load8_u (i32.add (call $start (local.get $text)) (local.get $at))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (if (i32.lt_u (local.get $byte) (i32.const 0x20))
          (then
            (call $add (call $literal (global.get $u00)))
            (call $add_byte (i32.add (i32.const 0x30) (i32.shr_u (local.get $byte) (i32.const 4))))
            (call $add_byte (i32.load8_u (i32.add (global.get $hex_digits)
                                                  (i32.and (local.get $byte) (i32.const 15)))))
            (br $next)))
        (if (i32.or (i32.eq (local.get $byte) (i32.const 0x22)) (i32.eq (local.get $byte) (i32.const 0x5c)))
          (then (call $add_byte (i32.const 0x5c))))
        (call $add_byte (local.get $byte))
        (br $next))))

  ;; What has been written since $top was there.
  (func $written (param $since i32) (result i64)
    (call $text (local.get $since) (i32.sub (global.get $top) (local.get $since))))

  ;; Has memory for so many bytes more at $top. Where the host gives none the trap ends the instance, and the caller is
  ;; told of the limit.
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
          (then (unreachable)))))))
