-- Takes of several limits, all or nothing. KEYS: one a limit. ARGV: cost, most, interval, lifetime of each.
-- Buckets hold when they are full again, in seconds by the server's clock; counts hold their sum.
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local later = {}
for index, key in ipairs(KEYS) do
  local cost, most = tonumber(ARGV[index * 4 - 3]), tonumber(ARGV[index * 4 - 2])
  local interval = tonumber(ARGV[index * 4 - 1])
  local held = tonumber(redis.call('GET', key) or '0')
  if interval > 0 then
    -- A clock that was set back leaves a bucket empty at worst, never shut for as long as the clock jumped.
    local full = math.max(now, math.min(held, now + most * interval)) + cost * interval
    local wait = full - now - most * interval
    if wait > 0.000001 then return {tostring(index - 1), string.format('%.6f', wait)} end
    later[index] = full
  elseif held + cost > most then
    return {tostring(index - 1), string.format('%.3f', redis.call('PTTL', key) / 1000)}
  end
end
for index, key in ipairs(KEYS) do
  local cost, interval = ARGV[index * 4 - 3], tonumber(ARGV[index * 4 - 1])
  if interval > 0 then
    local lifetime = math.max(1, math.ceil((later[index] - now) * 1000))
    redis.call('SET', key, string.format('%.17g', later[index]), 'PX', string.format('%d', lifetime))
  else
    redis.call('INCRBYFLOAT', key, cost)
    if redis.call('PTTL', key) < 0 then
      redis.call('PEXPIRE', key, string.format('%d', math.max(1, math.ceil(tonumber(ARGV[index * 4]) * 1000))))
    end
  end
end
return false
