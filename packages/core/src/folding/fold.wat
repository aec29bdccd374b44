;; Takes names that recur in a JSON text out of it, and puts them back: fold.ts says why, and is the only caller.
;; scripts/build-wasm.ts turns this file into fold.wasm.
;;
;; Two kinds of names, found by their members: one path (the full name of the repository: the last one in the text) and
;; accounts (logins). Control characters, which JSON does not have as they are, stand for them:
;;
;;   01              the path
;;   02              the account that was named last
;;   03 name 04      another account, for the first time
;;   one of $codes   an account that was named before: the first sixteen have a code each
;;
;; Both functions look at sixteen bytes at once and copy all of them before they know what they are; so behind every text
;; that is read, and behind the end of the output, at least 32 bytes must be free to be read and written.
(module
  (memory (export "memory") 13 13)

  ;; Accounts so far, sixteen at most: address and length of each.
  (global $known i32 (i32.const 0))
  (global $maxKnown i32 (i32.const 16))
  ;; Of fold: member names with what follows them, `full_name":"` and `login":"`, at most 31 bytes each.
  (global (export "pathKey") i32 (i32.const 128))
  (global $pathKey i32 (i32.const 128))
  (global (export "accountKey") i32 (i32.const 192))
  (global $accountKey i32 (i32.const 192))
  (global $codes i32 (i32.const 256))
  (data (i32.const 256) "\05\06\07\08\0b\0c\0e\0f\10\11\12\13\14\15\16\17")
  (global (export "input") i32 (i32.const 1024))
  (global (export "output") i32 (i32.const 425984))
  ;; Of each of the two, bytes; 1,024 more are free behind it.
  (global (export "capacity") i32 (i32.const 423936))

  ;; Longest name, bytes, and one more.
  (global $maxName i32 (i32.const 256))

  (global $count (mut i32) (i32.const 0))
  (global $account (mut i32) (i32.const 0))
  (global $accountLength (mut i32) (i32.const 0))

  (func $same (param $a i32) (param $b i32) (param $length i32) (result i32)
    (block $different
      (loop $on
        (if (i32.ge_u (local.get $length) (i32.const 8))
          (then
            (br_if $different (i64.ne (i64.load (local.get $a)) (i64.load (local.get $b))))
            (local.set $a (i32.add (local.get $a) (i32.const 8)))
            (local.set $b (i32.add (local.get $b) (i32.const 8)))
            (local.set $length (i32.sub (local.get $length) (i32.const 8)))
            (br $on))))
      (loop $on
        (if (local.get $length)
          (then
            (br_if $different (i32.ne (i32.load8_u (local.get $a)) (i32.load8_u (local.get $b))))
            (local.set $a (i32.add (local.get $a) (i32.const 1)))
            (local.set $b (i32.add (local.get $b) (i32.const 1)))
            (local.set $length (i32.sub (local.get $length) (i32.const 1)))
            (br $on))))
      (return (i32.const 1)))
    (i32.const 0))

  ;; Copies $length bytes, and up to fifteen more.
  (func $copy (param $from i32) (param $to i32) (param $length i32)
    (loop $on
      (v128.store (local.get $to) (v128.load (local.get $from)))
      (local.set $from (i32.add (local.get $from) (i32.const 16)))
      (local.set $to (i32.add (local.get $to) (i32.const 16)))
      (local.set $length (i32.sub (local.get $length) (i32.const 16)))
      (br_if $on (i32.gt_s (local.get $length) (i32.const 0)))))

  (func $remember (param $name i32) (param $length i32)
    (local $at i32)
    (global.set $account (local.get $name))
    (global.set $accountLength (local.get $length))
    (if (i32.lt_u (global.get $count) (global.get $maxKnown))
      (then
        (local.set $at (i32.add (global.get $known) (i32.shl (global.get $count) (i32.const 3))))
        (i32.store (local.get $at) (local.get $name))
        (i32.store offset=4 (local.get $at) (local.get $length))
        (global.set $count (i32.add (global.get $count) (i32.const 1))))))

  ;; The number of an account among the known ones, or -1.
  (func $numberOf (param $name i32) (param $length i32) (result i32)
    (local $number i32)
    (local $at i32)
    (block $none
      (loop $on
        (br_if $none (i32.ge_u (local.get $number) (global.get $count)))
        (local.set $at (i32.add (global.get $known) (i32.shl (local.get $number) (i32.const 3))))
        (if (i32.eq (i32.load offset=4 (local.get $at)) (local.get $length))
          (then
            (if (call $same (i32.load (local.get $at)) (local.get $name) (local.get $length))
              (then (return (local.get $number))))))
        (local.set $number (i32.add (local.get $number) (i32.const 1)))
        (br $on)))
    (i32.const -1))

  ;; The first byte from $i on, before $end, that is $wanted; 0 when a control character, a backslash or $limit comes first.
  (func $find (param $i i32) (param $end i32) (param $wanted i32) (param $limit i32) (result i32)
    (local $c i32)
    (if (i32.lt_u (i32.add (local.get $i) (local.get $limit)) (local.get $end))
      (then (local.set $end (i32.add (local.get $i) (local.get $limit)))))
    (loop $on
      (if (i32.ge_u (local.get $i) (local.get $end)) (then (return (i32.const 0))))
      (local.set $c (i32.load8_u (local.get $i)))
      (if (i32.eq (local.get $c) (local.get $wanted)) (then (return (local.get $i))))
      (if (i32.or (i32.lt_u (local.get $c) (i32.const 0x20)) (i32.eq (local.get $c) (i32.const 0x5c)))
        (then (return (i32.const 0))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $on))
    (unreachable))

  ;; The address behind the last path key between $start and $end; 0 when there is none.
  (func $lastPath (param $start i32) (param $end i32) (param $keyLength i32) (result i32)
    (local $i i32)
    (local $stops i32)
    (local $at i32)
    (local $quote v128)
    (local $key1 v128)
    (local $key2 v128)
    (local.set $quote (i8x16.splat (i32.const 0x22)))
    (local.set $key1 (i8x16.splat (i32.load8_u (global.get $pathKey))))
    (local.set $key2 (i8x16.splat (i32.load8_u offset=1 (global.get $pathKey))))
    (local.set $i (local.get $end))
    (loop $on
      (if (i32.le_u (local.get $i) (local.get $start)) (then (return (i32.const 0))))
      ;; Before the text there may be bytes of something else; a key found there is not behind $start.
      (local.set $i (i32.sub (local.get $i) (i32.const 16)))
      (local.set $stops
        (i8x16.bitmask
          (v128.and
            (i8x16.eq (v128.load (local.get $i)) (local.get $quote))
            (v128.and
              (i8x16.eq (v128.load offset=1 (local.get $i)) (local.get $key1))
              (i8x16.eq (v128.load offset=2 (local.get $i)) (local.get $key2))))))
      (br_if $on (i32.eqz (local.get $stops)))
      (loop $candidates
        (local.set $at (i32.sub (i32.const 32) (i32.clz (local.get $stops))))
        (local.set $stops
          (i32.xor (local.get $stops) (i32.shl (i32.const 1) (i32.sub (local.get $at) (i32.const 1)))))
        (local.set $at (i32.add (local.get $i) (local.get $at)))
        (if (i32.and
              (i32.gt_u (local.get $at) (local.get $start))
              (i32.le_u (i32.add (local.get $at) (local.get $keyLength)) (local.get $end)))
          (then
            (if (call $same (local.get $at) (global.get $pathKey) (local.get $keyLength))
              (then (return (i32.add (local.get $at) (local.get $keyLength)))))))
        (br_if $candidates (local.get $stops)))
      (br $on))
    (unreachable))

  ;; Writes the path (nothing when there is none) and a newline to $o, and behind them the folded text from $i to $end. Returns
  ;; where that ends, 0 when there are control characters in the text. The folded text is at most a fifth longer.
  (func (export "fold")
    (param $i i32) (param $end i32) (param $o i32) (param $pathKeyLength i32) (param $accountKeyLength i32)
    (result i32)
    (local $path i32)
    (local $pathLength i32)
    (local $bytes v128)
    (local $next v128)
    (local $pathFirst v128)
    (local $accountFirst v128)
    (local $slash v128)
    (local $colon v128)
    (local $quote v128)
    (local $space v128)
    (local $pathKey1 v128)
    (local $pathKey2 v128)
    (local $accountKey1 v128)
    (local $accountKey2 v128)
    (local $third v128)
    (local $stops i32)
    (local $c i32)
    (local $nameEnd i32)
    (local $length i32)
    (local $number i32)
    (global.set $count (i32.const 0))
    (global.set $accountLength (i32.const 0))
    (local.set $path (call $lastPath (local.get $i) (local.get $end) (local.get $pathKeyLength)))
    (if (local.get $path)
      (then
        (local.set $nameEnd
          (call $find (local.get $path) (local.get $end) (i32.const 0x22) (global.get $maxName)))
        (if (local.get $nameEnd)
          (then (local.set $pathLength (i32.sub (local.get $nameEnd) (local.get $path)))))))
    (call $copy (local.get $path) (local.get $o) (local.get $pathLength))
    (local.set $o (i32.add (local.get $o) (local.get $pathLength)))
    (i32.store8 (local.get $o) (i32.const 0x0a))
    (local.set $o (i32.add (local.get $o) (i32.const 1)))
    ;; ff is in no UTF-8 text: nothing begins with it.
    (local.set $accountFirst (i8x16.splat (i32.const 0xff)))
    (local.set $pathFirst
      (i8x16.splat (select (i32.load8_u (local.get $path)) (i32.const 0xff) (local.get $pathLength))))
    (local.set $slash (i8x16.splat (i32.const 0x2f)))
    (local.set $colon (i8x16.splat (i32.const 0x3a)))
    (local.set $quote (i8x16.splat (i32.const 0x22)))
    (local.set $space (i8x16.splat (i32.const 0x20)))
    (local.set $pathKey1 (i8x16.splat (i32.load8_u (global.get $pathKey))))
    (local.set $pathKey2 (i8x16.splat (i32.load8_u offset=1 (global.get $pathKey))))
    (local.set $accountKey1 (i8x16.splat (i32.load8_u (global.get $accountKey))))
    (local.set $accountKey2 (i8x16.splat (i32.load8_u offset=1 (global.get $accountKey))))
    (loop $on
      (local.set $bytes (v128.load (local.get $i)))
      (local.set $next (v128.load offset=1 (local.get $i)))
      (local.set $third (v128.load offset=2 (local.get $i)))
      (v128.store (local.get $o) (local.get $bytes))
      ;; Where a name may begin: behind / and :, when its first letter follows; where a member may begin; what must not be.
      (local.set $stops
        (i8x16.bitmask
          (v128.or
            (v128.and
              (v128.or
                (i8x16.eq (local.get $bytes) (local.get $slash))
                (i8x16.eq (local.get $bytes) (local.get $colon)))
              (v128.or
                (i8x16.eq (local.get $next) (local.get $pathFirst))
                (i8x16.eq (local.get $next) (local.get $accountFirst))))
            (v128.or
              (v128.and
                (i8x16.eq (local.get $bytes) (local.get $quote))
                (v128.or
                  (v128.and
                    (i8x16.eq (local.get $next) (local.get $pathKey1))
                    (i8x16.eq (local.get $third) (local.get $pathKey2)))
                  (v128.and
                    (i8x16.eq (local.get $next) (local.get $accountKey1))
                    (i8x16.eq (local.get $third) (local.get $accountKey2)))))
              (i8x16.lt_u (local.get $bytes) (local.get $space))))))
      ;; A branch, which the processor foresees: with the distance reckoned each step waited for the one before, 7 µs for 3.
      (if (i32.eqz (local.get $stops))
        (then
          (local.set $i (i32.add (local.get $i) (i32.const 16)))
          (local.set $o (i32.add (local.get $o) (i32.const 16)))
          (br_if $on (i32.lt_u (local.get $i) (local.get $end)))
          (return (i32.sub (local.get $o) (i32.sub (local.get $i) (local.get $end))))))
      (local.set $length (i32.ctz (local.get $stops)))
      (if (i32.ge_u (i32.add (local.get $i) (local.get $length)) (local.get $end))
        (then (return (i32.add (local.get $o) (i32.sub (local.get $end) (local.get $i))))))
      (local.set $i (i32.add (local.get $i) (local.get $length)))
      (local.set $o (i32.add (local.get $o) (local.get $length)))

      (local.set $c (i32.load8_u (local.get $i)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (local.set $o (i32.add (local.get $o) (i32.const 1)))
      (if (i32.lt_u (local.get $c) (i32.const 0x20))
        (then
          ;; Only tab, line feed and carriage return stand between the tokens of JSON.
          (br_if $on
            (i32.or
              (i32.or (i32.eq (local.get $c) (i32.const 0x09)) (i32.eq (local.get $c) (i32.const 0x0a)))
              (i32.eq (local.get $c) (i32.const 0x0d))))
          (return (i32.const 0))))

      (if (i32.eq (local.get $c) (i32.const 0x22))
        (then
          (if (i32.and
                (i32.lt_u (i32.add (local.get $i) (local.get $accountKeyLength)) (local.get $end))
                (call $same (local.get $i) (global.get $accountKey) (local.get $accountKeyLength)))
            (then
              (call $copy (local.get $i) (local.get $o) (local.get $accountKeyLength))
              (local.set $i (i32.add (local.get $i) (local.get $accountKeyLength)))
              (local.set $o (i32.add (local.get $o) (local.get $accountKeyLength)))
              (local.set $nameEnd
                (call $find (local.get $i) (local.get $end) (i32.const 0x22) (global.get $maxName)))
              (br_if $on (i32.le_u (local.get $nameEnd) (local.get $i)))
              (local.set $length (i32.sub (local.get $nameEnd) (local.get $i)))
              (local.set $accountFirst (i8x16.splat (i32.load8_u (local.get $i))))
              (if (i32.eq (local.get $length) (global.get $accountLength))
                (then
                  (if (call $same (local.get $i) (global.get $account) (local.get $length))
                    (then
                      (i32.store8 (local.get $o) (i32.const 2))
                      (local.set $o (i32.add (local.get $o) (i32.const 1)))
                      (local.set $i (local.get $nameEnd))
                      (br $on)))))
              (local.set $number (call $numberOf (local.get $i) (local.get $length)))
              (if (i32.ge_s (local.get $number) (i32.const 0))
                (then
                  (i32.store8 (local.get $o) (i32.load8_u (i32.add (global.get $codes) (local.get $number))))
                  (global.set $account (local.get $i))
                  (global.set $accountLength (local.get $length))
                  (local.set $o (i32.add (local.get $o) (i32.const 1)))
                  (local.set $i (local.get $nameEnd))
                  (br $on)))
              (call $remember (local.get $i) (local.get $length))
              (i32.store8 (local.get $o) (i32.const 3))
              (local.set $o (i32.add (local.get $o) (i32.const 1)))
              (call $copy (local.get $i) (local.get $o) (local.get $length))
              (local.set $o (i32.add (local.get $o) (local.get $length)))
              (i32.store8 (local.get $o) (i32.const 4))
              (local.set $o (i32.add (local.get $o) (i32.const 1)))
              (local.set $i (local.get $nameEnd))
              (br $on)))
          (br_if $on
            (i32.eqz
              (i32.and
                (i32.lt_u (i32.add (local.get $i) (local.get $pathKeyLength)) (local.get $end))
                (call $same (local.get $i) (global.get $pathKey) (local.get $pathKeyLength)))))
          (call $copy (local.get $i) (local.get $o) (local.get $pathKeyLength))
          (local.set $i (i32.add (local.get $i) (local.get $pathKeyLength)))
          (local.set $o (i32.add (local.get $o) (local.get $pathKeyLength)))))

      ;; Behind / : or the path's own member.
      (if (i32.and
            (i32.ne (local.get $pathLength) (i32.const 0))
            (i32.le_u (i32.add (local.get $i) (local.get $pathLength)) (local.get $end)))
        (then
          (if (call $same (local.get $i) (local.get $path) (local.get $pathLength))
            (then
              (i32.store8 (local.get $o) (i32.const 1))
              (local.set $o (i32.add (local.get $o) (i32.const 1)))
              (local.set $i (i32.add (local.get $i) (local.get $pathLength)))
              (br $on)))))
      (br_if $on (i32.eqz (global.get $accountLength)))
      (br_if $on (i32.gt_u (i32.add (local.get $i) (global.get $accountLength)) (local.get $end)))
      (br_if $on
        (i32.eqz (call $same (local.get $i) (global.get $account) (global.get $accountLength))))
      (i32.store8 (local.get $o) (i32.const 2))
      (local.set $o (i32.add (local.get $o) (i32.const 1)))
      (local.set $i (i32.add (local.get $i) (global.get $accountLength)))
      (br $on))
    (unreachable))

  ;; Undoes fold. Returns where the text ends; 0 for what fold never makes, or when the text would go beyond $most.
  (func (export "unfold")
    (param $i i32) (param $end i32) (param $o i32) (param $most i32) (param $path i32) (param $pathLength i32)
    (result i32)
    (local $bytes v128)
    (local $stops i32)
    (local $c i32)
    (local $nameEnd i32)
    (local $length i32)
    (local $from i32)
    (global.set $count (i32.const 0))
    (global.set $accountLength (i32.const 0))
    (loop $on
      (if (i32.gt_u (local.get $o) (local.get $most)) (then (return (i32.const 0))))
      (local.set $bytes (v128.load (local.get $i)))
      (v128.store (local.get $o) (local.get $bytes))
      (local.set $stops (i8x16.bitmask (i8x16.lt_u (local.get $bytes) (i8x16.splat (i32.const 0x20)))))
      (if (i32.eqz (local.get $stops))
        (then
          (local.set $i (i32.add (local.get $i) (i32.const 16)))
          (local.set $o (i32.add (local.get $o) (i32.const 16)))
          (br_if $on (i32.lt_u (local.get $i) (local.get $end)))
          (local.set $o (i32.sub (local.get $o) (i32.sub (local.get $i) (local.get $end))))
          (return (select (local.get $o) (i32.const 0) (i32.le_u (local.get $o) (local.get $most))))))
      (local.set $length (i32.ctz (local.get $stops)))
      (if (i32.ge_u (i32.add (local.get $i) (local.get $length)) (local.get $end))
        (then
          (local.set $o (i32.add (local.get $o) (i32.sub (local.get $end) (local.get $i))))
          (return (select (local.get $o) (i32.const 0) (i32.le_u (local.get $o) (local.get $most))))))
      (local.set $i (i32.add (local.get $i) (local.get $length)))
      (local.set $o (i32.add (local.get $o) (local.get $length)))

      (local.set $c (i32.load8_u (local.get $i)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (if (i32.or
            (i32.or (i32.eq (local.get $c) (i32.const 0x09)) (i32.eq (local.get $c) (i32.const 0x0a)))
            (i32.eq (local.get $c) (i32.const 0x0d)))
        (then
          (local.set $o (i32.add (local.get $o) (i32.const 1)))
          (br $on)))

      (if (i32.eq (local.get $c) (i32.const 1))
        (then
          (local.set $from (local.get $path))
          (local.set $length (local.get $pathLength)))
        (else
          (if (i32.eq (local.get $c) (i32.const 3))
            (then
              (local.set $from (local.get $i))
              (local.set $nameEnd
                (call $find (local.get $i) (local.get $end) (i32.const 4) (global.get $maxName)))
              (if (i32.eqz (local.get $nameEnd)) (then (return (i32.const 0))))
              (local.set $length (i32.sub (local.get $nameEnd) (local.get $i)))
              (local.set $i (i32.add (local.get $nameEnd) (i32.const 1)))
              (call $remember (local.get $from) (local.get $length)))
            (else
              (if (i32.ne (local.get $c) (i32.const 2))
                (then
                  ;; 05…08 → 0…3, 0b 0c → 4 5, 0e…17 → 6…15; 00 and 04 become too large a number.
                  (local.set $c
                    (i32.sub (local.get $c)
                      (i32.add (i32.const 5)
                        (i32.add
                          (i32.shl (i32.gt_u (local.get $c) (i32.const 8)) (i32.const 1))
                          (i32.gt_u (local.get $c) (i32.const 0x0d))))))
                  (if (i32.ge_u (local.get $c) (global.get $count)) (then (return (i32.const 0))))
                  (local.set $c (i32.add (global.get $known) (i32.shl (local.get $c) (i32.const 3))))
                  (global.set $account (i32.load (local.get $c)))
                  (global.set $accountLength (i32.load offset=4 (local.get $c)))))
              (local.set $from (global.get $account))
              (local.set $length (global.get $accountLength))))))
      (if (i32.eqz (local.get $length)) (then (return (i32.const 0))))
      (if (i32.gt_u (i32.add (local.get $o) (local.get $length)) (local.get $most)) (then (return (i32.const 0))))
      (call $copy (local.get $from) (local.get $o) (local.get $length))
      (local.set $o (i32.add (local.get $o) (local.get $length)))
      (br $on))
    (unreachable))
)
