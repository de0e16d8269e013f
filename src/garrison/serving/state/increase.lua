-- Adds to a number that begins to live when it is new. KEYS: it. ARGV: amount, milliseconds of life.
local total = redis.call('INCRBYFLOAT', KEYS[1], ARGV[1])
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return total
