;; One pass over a JSON text (RFC 8259): is it valid, how deep is it nested, and where are the members of the object that
;; it is. Nothing is built. scan.ts is the only caller; scripts/build-wasm.ts turns this file into scan.wasm.
;;
;; The text stands in memory behind $input, followed by a zero byte. No loop looks for the end: a zero is nothing that
;; JSON allows anywhere, so every loop stops there, and whether it was the end is asked once.
;;
;; An error is the negated address of the byte that is wrong.
(module
  (memory (export "memory") 17 17)

  ;; Where things stand in memory: the kinds of the containers that are open (one byte for each depth, 1 = array),
  ;; the members and one place more, the text. Behind the text 16 bytes are left for a vector that begins on its last byte.
  (global $kinds i32 (i32.const 0))
  (global $members (export "members") i32 (i32.const 1024))
  (global $maxMembers (export "maxMembers") i32 (i32.const 64))
  (global $input (export "input") i32 (i32.const 2064))
  (global (export "capacity") i32 (i32.const 1112032))
  (global (export "maxDepth") i32 (i32.const 1000))

  ;; How many members the last object had, also those beyond $maxMembers. Of each of the first ones, 16 bytes: address of
  ;; the name's first byte and behind its last (0 and 0: the name holds escapes), of the value's first and behind its last.
  (global $count (export "count") (mut i32) (i32.const 0))

  ;; Set by $string when it passes a backslash.
  (global $escaped (mut i32) (i32.const 0))

  (func $isHex (param $c i32) (result i32)
    (i32.or
      (i32.lt_u (i32.sub (local.get $c) (i32.const 0x30)) (i32.const 10))
      (i32.lt_u (i32.sub (i32.or (local.get $c) (i32.const 0x20)) (i32.const 0x61)) (i32.const 6))))

  ;; The length of the escape whose backslash is at $i, 0 if it is none: \" \\ \/ \b \f \n \r \t \uXXXX
  (func $escape (param $i i32) (result i32)
    (local $c i32)
    (local.set $c (i32.load8_u offset=1 (local.get $i)))
    (if (i32.eq (local.get $c) (i32.const 0x75))
      (then
        (return
          (select (i32.const 6) (i32.const 0)
            (i32.and
              (i32.and
                (call $isHex (i32.load8_u offset=2 (local.get $i)))
                (call $isHex (i32.load8_u offset=3 (local.get $i))))
              (i32.and
                (call $isHex (i32.load8_u offset=4 (local.get $i)))
                (call $isHex (i32.load8_u offset=5 (local.get $i)))))))))
    (if (i32.or
          (i32.or
            (i32.or (i32.eq (local.get $c) (i32.const 0x22)) (i32.eq (local.get $c) (i32.const 0x5c)))
            (i32.or (i32.eq (local.get $c) (i32.const 0x2f)) (i32.eq (local.get $c) (i32.const 0x62))))
          (i32.or
            (i32.or (i32.eq (local.get $c) (i32.const 0x66)) (i32.eq (local.get $c) (i32.const 0x6e)))
            (i32.or (i32.eq (local.get $c) (i32.const 0x72)) (i32.eq (local.get $c) (i32.const 0x74)))))
      (then (return (i32.const 2))))
    (i32.const 0))

  ;; $i: behind the opening quote. Returns the address behind the closing one, or an error.
  (func $string (param $i i32) (result i32)
    (local $bytes v128)
    (local $stops i32)
    (local $c i32)
    (local $length i32)
    (loop $on
      ;; Sixteen bytes at once: which of them are a quote, a backslash or a control character?
      (local.set $bytes (v128.load (local.get $i)))
      (local.set $stops
        (i8x16.bitmask
          (v128.or
            (v128.or
              (i8x16.eq (local.get $bytes)
                (v128.const i8x16 0x22 0x22 0x22 0x22 0x22 0x22 0x22 0x22 0x22 0x22 0x22 0x22 0x22 0x22 0x22 0x22))
              (i8x16.eq (local.get $bytes)
                (v128.const i8x16 0x5c 0x5c 0x5c 0x5c 0x5c 0x5c 0x5c 0x5c 0x5c 0x5c 0x5c 0x5c 0x5c 0x5c 0x5c 0x5c)))
            (i8x16.lt_u (local.get $bytes)
              (v128.const i8x16 0x20 0x20 0x20 0x20 0x20 0x20 0x20 0x20 0x20 0x20 0x20 0x20 0x20 0x20 0x20 0x20)))))
      (if (i32.eqz (local.get $stops))
        (then
          (local.set $i (i32.add (local.get $i) (i32.const 16)))
          (br $on)))
      (local.set $i (i32.add (local.get $i) (i32.ctz (local.get $stops))))
      (local.set $c (i32.load8_u (local.get $i)))
      (if (i32.eq (local.get $c) (i32.const 0x22))
        (then (return (i32.add (local.get $i) (i32.const 1)))))
      (if (i32.eq (local.get $c) (i32.const 0x5c))
        (then
          (global.set $escaped (i32.const 1))
          (local.set $length (call $escape (local.get $i)))
          (local.set $i (i32.add (local.get $i) (local.get $length)))
          (br_if $on (local.get $length)))))
    (i32.sub (i32.const 0) (local.get $i)))

  ;; The first address from $i on that holds no digit.
  (func $digits (param $i i32) (result i32)
    (loop $on
      (if (i32.lt_u (i32.sub (i32.load8_u (local.get $i)) (i32.const 0x30)) (i32.const 10))
        (then
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br $on))))
    (local.get $i))

  ;; $digits, or an error when there is none.
  (func $someDigits (param $i i32) (result i32)
    (local $end i32)
    (local.set $end (call $digits (local.get $i)))
    (select (local.get $end) (i32.sub (i32.const 0) (local.get $i)) (i32.gt_u (local.get $end) (local.get $i))))

  ;; $i: the first byte, which may be anything. Returns the address behind the number, or an error.
  (func $number (param $i i32) (result i32)
    (local $c i32)
    (if (i32.eq (i32.load8_u (local.get $i)) (i32.const 0x2d))
      (then (local.set $i (i32.add (local.get $i) (i32.const 1)))))
    (if (i32.eq (i32.load8_u (local.get $i)) (i32.const 0x30))
      (then (local.set $i (i32.add (local.get $i) (i32.const 1))))
      (else (local.set $i (call $someDigits (local.get $i)))))
    (if (i32.lt_s (local.get $i) (i32.const 0)) (then (return (local.get $i))))
    (if (i32.eq (i32.load8_u (local.get $i)) (i32.const 0x2e))
      (then
        (local.set $i (call $someDigits (i32.add (local.get $i) (i32.const 1))))
        (if (i32.lt_s (local.get $i) (i32.const 0)) (then (return (local.get $i))))))
    (if (i32.eq (i32.or (i32.load8_u (local.get $i)) (i32.const 0x20)) (i32.const 0x65))
      (then
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (local.set $c (i32.load8_u (local.get $i)))
        (if (i32.or (i32.eq (local.get $c) (i32.const 0x2b)) (i32.eq (local.get $c) (i32.const 0x2d)))
          (then (local.set $i (i32.add (local.get $i) (i32.const 1)))))
        (return (call $someDigits (local.get $i)))))
    (local.get $i))

  ;; The first address from $i on that holds no white space (space, tab, line feed, carriage return).
  (func $skip (param $i i32) (result i32)
    (local $c i32)
    (loop $on
      (local.set $c (i32.load8_u (local.get $i)))
      (if (i32.or
            (i32.or (i32.eq (local.get $c) (i32.const 0x20)) (i32.eq (local.get $c) (i32.const 0x0a)))
            (i32.or (i32.eq (local.get $c) (i32.const 0x0d)) (i32.eq (local.get $c) (i32.const 0x09))))
        (then
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br $on))))
    (local.get $i))

  ;; Where the member is noted that is under way; those beyond the table share one place behind it.
  (func $slot (result i32)
    (i32.add
      (global.get $members)
      (i32.shl
        (select (global.get $count) (global.get $maxMembers)
          (i32.lt_u (global.get $count) (global.get $maxMembers)))
        (i32.const 4))))

  ;; $start, $end: the text's first address and the one behind its last. $limit: how deep it may be nested.
  ;; Returns 1 = valid, 0 = nested deeper, or an error.
  ;;
  ;; $expect: 0 a value, 1 a value or `]`, 2 a name or `}`, 3 a name, 4 what may follow a value
  (func (export "check") (param $start i32) (param $end i32) (param $limit i32) (result i32)
    (local $i i32)
    (local $c i32)
    (local $depth i32)
    (local $expect i32)
    (local $isArray i32)
    (local $name i32)
    (local.set $i (local.get $start))
    (global.set $count (i32.const 0))
    (loop $next
      (local.set $c (i32.load8_u (local.get $i)))
      (if (i32.le_u (local.get $c) (i32.const 0x20))
        (then
          (local.set $i (call $skip (local.get $i)))
          (local.set $c (i32.load8_u (local.get $i)))))

      (if (i32.eq (local.get $expect) (i32.const 4))
        (then
          (if (i32.eqz (local.get $depth))
            (then
              (return
                (select (i32.const 1) (i32.sub (i32.const 0) (local.get $i))
                  (i32.eq (local.get $i) (local.get $end))))))
          (local.set $isArray (i32.load8_u (i32.add (global.get $kinds) (local.get $depth))))
          (if (i32.eq (local.get $c) (i32.const 0x2c)) ;; ,
            (then)
            (else
              (if (i32.ne (local.get $c)
                    (select (i32.const 0x5d) (i32.const 0x7d) (local.get $isArray)))
                (then (return (i32.sub (i32.const 0) (local.get $i)))))))
          (if (i32.and (i32.eq (local.get $depth) (i32.const 1)) (i32.eqz (local.get $isArray)))
            (then
              (i32.store offset=12 (call $slot) (local.get $i))
              (global.set $count (i32.add (global.get $count) (i32.const 1)))))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (if (i32.ne (local.get $c) (i32.const 0x2c))
            (then
              (local.set $depth (i32.sub (local.get $depth) (i32.const 1)))
              (br $next)))
          (local.set $expect (select (i32.const 0) (i32.const 3) (local.get $isArray)))
          (br $next)))

      (if (i32.ge_u (local.get $expect) (i32.const 2))
        (then
          (if (i32.and
                (i32.eq (local.get $expect) (i32.const 2))
                (i32.eq (local.get $c) (i32.const 0x7d)))
            (then
              (local.set $i (i32.add (local.get $i) (i32.const 1)))
              (local.set $depth (i32.sub (local.get $depth) (i32.const 1)))
              (local.set $expect (i32.const 4))
              (br $next)))
          (if (i32.ne (local.get $c) (i32.const 0x22))
            (then (return (i32.sub (i32.const 0) (local.get $i)))))
          (local.set $name (i32.add (local.get $i) (i32.const 1)))
          (global.set $escaped (i32.const 0))
          (local.set $i (call $string (local.get $name)))
          (if (i32.lt_s (local.get $i) (i32.const 0)) (then (return (local.get $i))))
          (if (i32.eq (local.get $depth) (i32.const 1))
            (then
              (i32.store (call $slot) (select (i32.const 0) (local.get $name) (global.get $escaped)))
              (i32.store offset=4 (call $slot)
                (select (i32.const 0) (i32.sub (local.get $i) (i32.const 1)) (global.get $escaped)))))
          (if (i32.ne (i32.load8_u (local.get $i)) (i32.const 0x3a)) ;; :
            (then
              (local.set $i (call $skip (local.get $i)))
              (if (i32.ne (i32.load8_u (local.get $i)) (i32.const 0x3a))
                (then (return (i32.sub (i32.const 0) (local.get $i)))))))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (local.set $c (i32.load8_u (local.get $i)))
          (if (i32.le_u (local.get $c) (i32.const 0x20))
            (then
              (local.set $i (call $skip (local.get $i)))
              (local.set $c (i32.load8_u (local.get $i)))))
          (if (i32.eq (local.get $depth) (i32.const 1))
            (then (i32.store offset=8 (call $slot) (local.get $i)))))
        (else
          (if (i32.and
                (i32.eq (local.get $expect) (i32.const 1))
                (i32.eq (local.get $c) (i32.const 0x5d)))
            (then
              (local.set $i (i32.add (local.get $i) (i32.const 1)))
              (local.set $depth (i32.sub (local.get $depth) (i32.const 1)))
              (local.set $expect (i32.const 4))
              (br $next)))))

      ;; A value.
      (local.set $expect (i32.const 4))
      (if (i32.eq (local.get $c) (i32.const 0x22)) ;; "
        (then
          (local.set $i (call $string (i32.add (local.get $i) (i32.const 1))))
          (br_if $next (i32.gt_s (local.get $i) (i32.const 0)))
          (return (local.get $i))))
      (if (i32.eq (i32.or (local.get $c) (i32.const 0x20)) (i32.const 0x7b)) ;; { or [
        (then
          (if (i32.ge_u (local.get $depth) (local.get $limit)) (then (return (i32.const 0))))
          (local.set $depth (i32.add (local.get $depth) (i32.const 1)))
          (local.set $isArray (i32.eq (local.get $c) (i32.const 0x5b)))
          (i32.store8 (i32.add (global.get $kinds) (local.get $depth)) (local.get $isArray))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (local.set $expect (select (i32.const 1) (i32.const 2) (local.get $isArray)))
          (br $next)))
      (if (i32.or
            (i32.and ;; null
              (i32.eq (local.get $c) (i32.const 0x6e))
              (i32.eq (i32.load (local.get $i)) (i32.const 0x6c6c756e)))
            (i32.and ;; true
              (i32.eq (local.get $c) (i32.const 0x74))
              (i32.eq (i32.load (local.get $i)) (i32.const 0x65757274))))
        (then
          (local.set $i (i32.add (local.get $i) (i32.const 4)))
          (br $next)))
      (if (i32.and ;; false
            (i32.eq (local.get $c) (i32.const 0x66))
            (i32.eq (i32.load offset=1 (local.get $i)) (i32.const 0x65736c61)))
        (then
          (local.set $i (i32.add (local.get $i) (i32.const 5)))
          (br $next)))
      (local.set $i (call $number (local.get $i)))
      (br_if $next (i32.gt_s (local.get $i) (i32.const 0))))
    (local.get $i))
)
