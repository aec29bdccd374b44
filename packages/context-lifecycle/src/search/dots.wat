;; Dot products of one vector of bytes with many. vectors.ts is the only caller; scripts/build-wasm.ts turns this file into
;; dots.wasm.
;;
;; Rows lie one behind the other from $rows on, each padded with zeros to a multiple of 16 bytes, and so is the question.
;; A sum fits: 4,096 dimensions × 127 × 127 are 66 million.
(module
  (memory (export "memory") 1)

  ;; Where things stand in memory: the question (4,096 bytes), the sums of one call (1,024 of 4 bytes), the rows.
  (global $question (export "question") i32 (i32.const 0))
  (global $sums (export "sums") i32 (i32.const 4096))
  (global (export "atOnce") i32 (i32.const 1024))
  (global (export "rows") i32 (i32.const 8192))

  ;; Writes the sums of $count rows of $width bytes, the first of which is at $row.
  (func (export "dots") (param $row i32) (param $count i32) (param $width i32)
    (local $out i32)
    (local $at i32)
    (local $a v128)
    (local $b v128)
    (local $sum v128)
    (local.set $out (global.get $sums))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (local.set $sum (v128.const i32x4 0 0 0 0))
        (local.set $at (i32.const 0))
        (loop $along
          (local.set $a (v128.load (i32.add (local.get $row) (local.get $at))))
          (local.set $b (v128.load (i32.add (global.get $question) (local.get $at))))
          (local.set $sum
            (i32x4.add
              (local.get $sum)
              (i32x4.add
                (i32x4.dot_i16x8_s
                  (i16x8.extend_low_i8x16_s (local.get $a))
                  (i16x8.extend_low_i8x16_s (local.get $b)))
                (i32x4.dot_i16x8_s
                  (i16x8.extend_high_i8x16_s (local.get $a))
                  (i16x8.extend_high_i8x16_s (local.get $b))))))
          (local.set $at (i32.add (local.get $at) (i32.const 16)))
          (br_if $along (i32.lt_u (local.get $at) (local.get $width))))
        (i32.store
          (local.get $out)
          (i32.add
            (i32.add (i32x4.extract_lane 0 (local.get $sum)) (i32x4.extract_lane 1 (local.get $sum)))
            (i32.add (i32x4.extract_lane 2 (local.get $sum)) (i32x4.extract_lane 3 (local.get $sum)))))
        (local.set $out (i32.add (local.get $out) (i32.const 4)))
        (local.set $row (i32.add (local.get $row) (local.get $width)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next)))))
