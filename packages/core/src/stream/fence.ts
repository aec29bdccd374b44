/**
 * The fence of a partition: what it knows of the plan, and refuses because of it (plans.ts). Lua, part of the scripts that look up or spread: `newer(key, epoch)` is the plan kept there if it is of a later epoch;
 * `learn(key, epoch, plan, stream)` keeps a later one, with the last id of the stream: what was accepted under earlier
 * epochs is not after it. (Not with a time: clocks jump, ids do not go back.)
 */
export const FENCE = `
local function newer(key, epoch)
  local kept = redis.call('HGET', key, 'epoch')
  return kept and tonumber(kept) > epoch and redis.call('HGET', key, 'plan')
end
local function last_id(stream)
  if redis.call('EXISTS', stream) == 0 then return '0-0' end
  local info = redis.call('XINFO', 'STREAM', stream)
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then return info[i + 1] end
  end
end
local function learn(key, epoch, plan, stream)
  local kept = tonumber(redis.call('HGET', key, 'epoch') or 0)
  if kept < epoch then
    redis.call('HSET', key, 'epoch', epoch, 'plan', plan, 'at:' .. epoch, last_id(stream))
  end
end
`
