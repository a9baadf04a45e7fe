-- slots.book in one step on Redis; the tests ask both the same questions.
-- KEYS: the transport's schedules (hash of name -> next free slot), the day's count
-- ARGV: now, horizon, life of a schedule, the day's cap or "",
--       then for the transport and for each line: name, wanted, interval ("" without a rate), slice, late
-- Gives {1, start, counts...}, or what is in the way: {0, start, name}, {-1} the day is spent, {-2} it has no count.

local now, horizon, life, cap = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])

local left = math.huge
if cap then
  local count = tonumber(redis.call('GET', KEYS[2]))
  if not count then return {-2} end
  left = cap - count
  if left <= 0 then return {-1} end
end

local lines = {}
for i = 5, #ARGV, 5 do
  local line = {name = ARGV[i], wanted = tonumber(ARGV[i + 1]), interval = tonumber(ARGV[i + 2]),
                slice = tonumber(ARGV[i + 3]), late = tonumber(ARGV[i + 4]), first = 0}
  if line.interval then
    local free = tonumber(redis.call('HGET', KEYS[1], line.name))
    line.first = now - line.late
    if free and free > line.first and free <= now + life then line.first = free end
  end
  lines[#lines + 1] = line
end

local transport, soonest = lines[1], lines[2]
for i = 3, #lines do
  if lines[i].first < soonest.first then soonest = lines[i] end
end
local start = math.max(now, transport.first, soonest.first)
if start > now + horizon then
  return {0, start, transport.first == start and transport.name or soonest.name}
end

local function due(line)
  if not line.interval then return math.huge end
  if line.first > start then return 0 end
  line.first = math.max(line.first, start - line.late)
  return line.slice + math.floor((start - line.first) / line.interval)
end

local function take(line, count)
  if line.interval and count > 0 then
    local free = math.floor(line.first + count * line.interval + 0.5)
    redis.call('HSET', KEYS[1], line.name, string.format('%.0f', free))
    redis.call('PEXPIRE', KEYS[1], life / 1000)
  end
end

left = math.min(left, due(transport))
local answer, total = {1, start}, 0
for i = 2, #lines do
  local count = math.min(lines[i].wanted, left, due(lines[i]))
  take(lines[i], count)
  left, total = left - count, total + count
  answer[#answer + 1] = count
end
take(transport, total)
if cap then redis.call('INCRBY', KEYS[2], total) end
return answer
