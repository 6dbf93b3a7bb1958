-- All that has to be one step on the server: each part below that is named becomes one script, behind the helpers
-- that it lists. Redis runs a script as a whole and nothing else meanwhile, so what a script reads stays true until
-- it has written.
--
-- What was written stays when a script fails. So whatever can fail comes before the first write: a script works out
-- what it is going to write, and reads every key that it is going to write to (but for the first), since one that is of
-- another type, another program's, fails then. Where that would take too long, what was written is taken back instead.
-- Where there are several steps, all is well after each. What stands in a key of the right type and is none of ours is
-- no error: a number counts as missing, a claim as one that tells nothing.
--
-- The keys of one queue begin with its base, <prefix>kombu:queue:{<name>}, whose hash tag keeps them in one slot of
-- a cluster. All but the marker live as long as the queue, and those that hold messages only while they hold some:
--
--   :info       hash    the queue is there: priority (its highest), last (the latest id given), place (the latest
--                       given to a user); where it has such: length, bytes, refuses, weight (bytes of bodies in all
--                       of wait), life (microseconds without users), first (before the first), autodelete, gone (when
--                       its life is over), paused, incarnation; dying (in a cluster: while it is being deleted)
--   :wait:<p>   zset    ids of priority p that nobody holds, by when they are due: what is ready, and what is delayed
--   :held       zset    ids that are leased, by when the lease ends; those that have ended go back at the next look
--   :body       hash    id -> the message as the client packed it
--   :claims     hash    id -> "<token> <deliveries> <due> <priority>" of what was claimed before; token "-": released
--   :expiry     zset    ids with a time to live, by when it is over
--   :users      hash    "c" or "o" and who -> "<place> <until>"; dies with the last of them
--   :wake       list    one element at most: something has come. Who waits pops it
--   :sent:<who> string  number of the last batch that this client stored, for two minutes: a batch sent again after
--                       its answer was lost is not stored twice
--
-- The topology has the base <prefix>kombu:topology:{kombu}:
--
--   :document   hash    version, text (JSON); for an hour more once nothing is declared any more
--   :mortal     zset    bases of queues, by when a message in them may expire at the earliest
--   :ending     zset    bases of queues, by when their life may be over at the earliest
--   :paused     set     bases of queues
--
-- An id is the time at which the message was stored in microseconds since 1970, 16 digits, and a little more where
-- several came in one: ids have the order of storing, as text too. Times are the server's, in microseconds.
--
-- Where memory is full (maxmemory), Redis lets a script that has begun to write go on. What consumes therefore removes
-- before it adds, and what publishes adds first: a full server still gives out what it has.

--@ helper clock
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local function whole(number)
  return string.format('%.0f', number)
end

--@ helper many
-- A command with any number of arguments, which Lua's stack limits to some thousands at a time.
local function many(command, key, arguments, step)
  local result, size = 0, #arguments
  for first = 1, size, step do
    local last = math.min(first + step - 1, size)
    local answer = redis.call(command, key, unpack(arguments, first, last))
    if type(answer) == 'number' then result = result + answer end
  end
  return result
end

local function fetch(key, ids)
  if #ids <= 4000 then return redis.call('HMGET', key, unpack(ids)) end
  local found = {}
  for first = 1, #ids, 4000 do
    for _, each in ipairs(redis.call('HMGET', key, unpack(ids, first, math.min(first + 3999, #ids)))) do
      found[#found + 1] = each
    end
  end
  return found
end

--@ helper record
local function is_ours(id)
  return #id == 16 and not string.find(id, '%D')
end

-- Of a claim: deliveries, due, priority, and whether it is ours. Else a message waits since it was stored, if that is
-- what its id tells, with priority 0.
local function parse(record, id, highest)
  local count, due, priority = string.match(record or '', '^%S+ (%d+) (%-?[%d.]+) (%d+)$')
  if not (count and #count < 14 and #due < 30 and tonumber(due)) then return 0, is_ours(id) and id or '0', 0, false end
  return count, due, math.min(priority, highest), true
end

-- Ids in what is answered: in one that is not ours there may be spaces.
local function told(id)
  return '=' .. string.gsub(id, '.', function(char) return string.format('%02x', string.byte(char)) end)
end

--@ helper weight
-- The bytes of a body: what was packed is format (1 byte), priority (1), time to live (8), length of the head (4,
-- the lowest byte first), head, body.
local function weigh(packed)
  if not packed then return 0 end
  if #packed < 14 then return #packed end
  local a, b, c, d = string.byte(packed, 11, 14)
  return math.max(#packed - 14 - (a + b * 256 + c * 65536 + d * 16777216), 0)
end

local function weigh_all(base, ids)
  local sum = 0
  for first = 1, #ids, 100 do
    for _, packed in ipairs(redis.call('HMGET', base .. ':body', unpack(ids, first, math.min(first + 99, #ids)))) do
      sum = sum + weigh(packed)
    end
  end
  return sum
end

local function add_weight(base, bytes, sum)
  if not bytes or sum == 0 then return end
  local before = tonumber(redis.call('HGET', base .. ':info', 'weight') or nil) or 0
  redis.call('HSET', base .. ':info', 'weight', whole(before + sum))
end

--@ helper places
-- What is going to wait: priority -> dues and ids.
local function place(waiting, priority, due, id)
  local there = waiting[priority] or {}
  there[#there + 1], there[#there + 2] = due, id
  waiting[priority] = there
end

local function check_places(base, waiting)
  for priority in pairs(waiting) do redis.call('ZCARD', base .. ':wait:' .. priority) end
end

local function put_in_places(base, waiting)
  for priority, there in pairs(waiting) do many('ZADD', base .. ':wait:' .. priority, there, 4000) end
end

--@ helper reap
-- What was leased until now waits again, where it stood. Its claim stays good until the next one. What is no message,
-- as it has neither a claim of ours nor a body, goes.
local function reap(base, highest, bytes)
  local held, expiry = base .. ':held', base .. ':expiry'
  local ids = redis.call('ZRANGEBYSCORE', held, '-inf', whole(now), 'LIMIT', 0, 1000)
  if #ids == 0 then return end
  local waiting, none = {}, {}
  for n, record in ipairs(redis.call('HMGET', base .. ':claims', unpack(ids))) do
    local _, due, priority, ours = parse(record, ids[n], highest)
    if ours or redis.call('HEXISTS', base .. ':body', ids[n]) == 1 then
      place(waiting, priority, due, ids[n])
    else
      none[#none + 1] = ids[n]
    end
  end
  check_places(base, waiting)
  if #none > 0 then redis.call('ZCARD', expiry) end
  local size = bytes and weigh_all(base, ids) or 0
  redis.call('ZREM', held, unpack(ids))
  put_in_places(base, waiting)
  add_weight(base, bytes, size)
  if #none > 0 then
    redis.call('HDEL', base .. ':claims', unpack(none))
    redis.call('ZREM', expiry, unpack(none))
  end
end

--@ helper ready
local function count_ready(base, priority)
  local ready = 0
  for p = priority, 0, -1 do
    ready = ready + redis.call('ZCOUNT', base .. ':wait:' .. p, '-inf', whole(now))
  end
  return ready
end

-- Bytes of what is ready: of all that waits, less what is delayed.
local function weigh_ready(base, priority)
  local sum = tonumber(redis.call('HGET', base .. ':info', 'weight') or nil) or 0
  for p = priority, 0, -1 do
    sum = sum - weigh_all(base, redis.call('ZRANGEBYSCORE', base .. ':wait:' .. p, '(' .. whole(now), '+inf'))
  end
  return sum
end

--@ helper wake
-- Who waits pops the element: one for each time that something came is enough, and a full list is left as it is, and
-- what is no list.
local function wake(base)
  local list = base .. ':wake'
  if redis.pcall('LLEN', list) == 0 then redis.call('RPUSH', list, 1) end
end

--@ helper take
-- Lease these, which wait with priority p: they are added to what is answered, as "<queue> <id> <deliveries>" and
-- as packed. Who calls it has read what is held, and what waits.
local function take(answer, queue, base, bytes, p, ids, dues, token, ends)
  if #ids == 0 then return end
  local records, packed = fetch(base .. ':claims', ids), fetch(base .. ':body', ids)
  local claims, held, sum, plain = {}, {}, 0, string.find(table.concat(ids), '^%d*$')
  for n, id in ipairs(ids) do
    local deliveries = records[n] and whole(parse(records[n], id, p) + 1) or '1'
    claims[2 * n - 1], claims[2 * n] = id, token .. ' ' .. deliveries .. ' ' .. dues[n] .. ' ' .. p
    held[2 * n - 1], held[2 * n] = ends, id
    answer.told[#answer.told + 1] = queue .. ' ' .. (plain and #id == 16 and id or told(id)) .. ' ' .. deliveries
    answer[#answer + 1] = packed[n] or ''
    if bytes then sum = sum + weigh(packed[n]) end
  end
  many('ZREM', base .. ':wait:' .. p, ids, 4000)
  many('HSET', base .. ':claims', claims, 4000)
  many('ZADD', base .. ':held', held, 4000)
  add_weight(base, bytes, -sum)
end

local function new_answer()
  return {whole(now), '', told = {}}
end

local function complete(answer)
  answer[2] = table.concat(answer.told, ' ')
  return answer
end

local function pairs_of(found)
  local ids, scores = {}, {}
  for n = 1, #found, 2 do
    ids[#ids + 1], scores[#scores + 1] = found[n], found[n + 1]
  end
  return ids, scores
end

--@ helper each
-- Calls with each queue and its number. Where one fails, what was taken from those before is answered.
local function take_from_each(answer, call)
  for queue, base in ipairs(KEYS) do
    local done, problem = pcall(call, queue, base)
    if not done then
      if #answer.told == 0 then error(problem, 0) end
      break
    end
  end
  return complete(answer)
end

--@ helper chosen
-- Lease the chosen that wait, in whatever priority, and leave those that are held.
local function take_chosen(answer, queue, base, priority, bytes, ids, token, ends)
  local taken = 0
  for _, id in ipairs(ids) do
    for p = priority, 0, -1 do
      local due = redis.call('ZSCORE', base .. ':wait:' .. p, id)
      if due then
        take(answer, queue, base, bytes, p, {id}, {due}, token, ends)
        taken = taken + 1
        break
      end
    end
  end
  return taken
end

--@ helper remove
local function highest_of(base)
  return tonumber(redis.call('HGET', base .. ':info', 'priority') or nil) or 0
end

local function clear(base, bytes, ids, records)
  if records then
    local highest = highest_of(base)
    for n, id in ipairs(ids) do
      local _, _, priority = parse(records[n], id, highest)
      local size = bytes and weigh_all(base, {id}) or 0
      if redis.call('ZREM', base .. ':wait:' .. priority, id) == 1 then add_weight(base, bytes, -size) end
    end
  end
  many('ZREM', base .. ':expiry', ids, 4000)
  many('HDEL', base .. ':body', ids, 4000)
end

-- All of these messages, leased or, since their lease has ended, waiting again. Where that fails their lease is over.
local function remove(base, bytes, ids, records)
  if #ids == 0 then return end
  local some_wait = many('ZREM', base .. ':held', ids, 4000) < #ids
  local done, problem = pcall(clear, base, bytes, ids, some_wait and records)
  if not done then
    for _, id in ipairs(ids) do redis.call('ZADD', base .. ':held', whole(now), id) end
    error(problem, 0)
  end
  many('HDEL', base .. ':claims', ids, 4000)
end

local function check_removal(base)
  redis.call('ZCARD', base .. ':held')
  redis.call('HLEN', base .. ':body')
  redis.call('ZCARD', base .. ':expiry')
end

--@ helper room
local function has_room(queue, new, size)
  reap(queue.base, queue.priority, queue.bytes)
  if queue.length and count_ready(queue.base, queue.priority) + new > queue.length then return false end
  return not queue.bytes or weigh_ready(queue.base, queue.priority) + size <= queue.bytes
end

-- The queue, and whether it refuses when it is full; nothing where it is missing.
local function open_queue(base)
  local info = redis.call('HMGET', base .. ':info', 'last', 'refuses', 'length', 'bytes', 'priority', 'dying')
  if not info[1] or info[6] then return nil end
  return {
    base = base, last = tonumber(info[1]) or 0, length = tonumber(info[3] or nil), bytes = tonumber(info[4] or nil),
    priority = tonumber(info[5] or nil) or 0,
  }, info[2]
end

--@ helper store
-- Batches in ARGV from a place on, each: number of the queue, priority, delay, time to live or '', count, and so many
-- packed messages. Answers 1 when all are stored; else nothing is: 0 where a queue is missing, -n where queue n is
-- full.
local function batches(at)
  local found = {}
  while at <= #ARGV do
    local count = tonumber(ARGV[at + 4])
    found[#found + 1] = {
      queue = tonumber(ARGV[at]), priority = tonumber(ARGV[at + 1]), delay = tonumber(ARGV[at + 2]),
      ttl = tonumber(ARGV[at + 3]), first = at + 5, count = count,
    }
    at = at + 5 + count
  end
  return found
end

local function measure(number, found)
  local new, size = 0, 0
  for _, batch in ipairs(found) do
    if batch.queue == number then
      new = new + batch.count
      for n = batch.first, batch.first + batch.count - 1 do size = size + weigh(ARGV[n]) end
    end
  end
  return new, size
end

local function check(queue, batch, topology)
  local base = queue.base
  batch.wait = base .. ':wait:' .. math.min(batch.priority, queue.priority) -- nobody looks above the queue's highest
  redis.call('ZCARD', batch.wait)
  redis.call('HLEN', base .. ':body')
  if batch.ttl then redis.call('ZCARD', base .. ':expiry') end
  if batch.ttl and topology then redis.call('ZCARD', topology .. ':mortal') end
end

local function add(queue, batch, topology)
  local base, last = queue.base, math.max(queue.last, now - 1)
  local due, expires = whole(now + batch.delay), batch.ttl and whole(now + batch.ttl)
  local size = 0
  for first = batch.first, batch.first + batch.count - 1, 1000 do
    local bodies, places, ends = {}, {}, {}
    for n = first, math.min(first + 999, batch.first + batch.count - 1) do
      last = last + 1
      local id, place = string.format('%016.0f', last), 2 * (n - first)
      bodies[place + 1], bodies[place + 2] = id, ARGV[n]
      places[place + 1], places[place + 2] = due, id
      if expires then ends[place + 1], ends[place + 2] = expires, id end
      if queue.bytes then size = size + weigh(ARGV[n]) end
    end
    redis.call('HSET', base .. ':body', unpack(bodies))
    redis.call('ZADD', batch.wait, unpack(places))
    if expires then redis.call('ZADD', base .. ':expiry', unpack(ends)) end
  end
  queue.last = last
  add_weight(base, queue.bytes, size)
  if expires and topology then redis.call('ZADD', topology .. ':mortal', 'LT', expires, base) end
end

local function store(first_key, number, topology, at)
  local found, queues = batches(at), {}
  for n = 1, number do
    local queue, refuses = open_queue(KEYS[first_key + n - 1])
    if not queue then return 0 end
    if refuses and not has_room(queue, measure(n, found)) then return -n end
    queues[n] = queue
  end
  for _, batch in ipairs(found) do check(queues[batch.queue], batch, topology) end
  for _, batch in ipairs(found) do add(queues[batch.queue], batch, topology) end
  for _, queue in ipairs(queues) do
    redis.call('HSET', queue.base .. ':info', 'last', whole(queue.last))
    wake(queue.base)
  end
  return 1
end

--@ script put: clock many record weight places reap ready room wake store
-- KEYS: marker, the queues' bases, the topology's base where it can be reached.
-- ARGV: number of this batch of the client's, version or '', number of queues, and batches.
-- Answers like store, and 0 where the topology has another version.
local number = tonumber(ARGV[3])
local topology = KEYS[number + 2]
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', 120000) -- WAIT, which may follow, waits for what this connection wrote
  return 1
end
if ARGV[2] ~= '' and (redis.call('HGET', topology .. ':document', 'version') or '0') ~= ARGV[2] then return 0 end
local answer = store(2, number, topology, 4)
if answer == 1 then redis.call('SET', KEYS[1], ARGV[1], 'PX', 120000) end
return answer

--@ script put_one: wake
-- What put does for one message that does not expire, as most are, without what makes ready for others: two thirds of
-- the time. KEYS: marker, the queue's base, the topology's base.
-- ARGV: number of this batch of the client's, version, priority, delay, the packed message.
-- Answers like put, and -1 where there is more to be done: the queue refuses when it is full, or counts bytes.
local call, base = redis.call, KEYS[2]
local info = call('HMGET', base .. ':info', 'last', 'priority', 'refuses', 'bytes', 'dying')
local moved = (call('HGET', KEYS[3] .. ':document', 'version') or '0') ~= ARGV[2] or not info[1] or info[5]
if moved or info[3] or info[4] then
  if call('GET', KEYS[1]) == ARGV[1] then return 1 end
  return moved and 0 or -1
end
local body, wait = base .. ':body', base .. ':wait:' .. math.min(ARGV[3], tonumber(info[2] or nil) or 0)
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local id = string.format('%016.0f', math.max((tonumber(info[1]) or 0) + 1, now))
local due = string.format('%.0f', now + ARGV[4])
local before = call('SET', KEYS[1], ARGV[1], 'PX', 120000, 'GET')
if before == ARGV[1] then return 1 end
local stored = redis.pcall('HSET', body, id, ARGV[5])
if type(stored) == 'number' then
  stored = redis.pcall('ZADD', wait, due, id)
  if type(stored) ~= 'number' then call('HDEL', body, id) end
end
if type(stored) ~= 'number' then
  if before then call('SET', KEYS[1], before, 'PX', 120000) else call('DEL', KEYS[1]) end
  return stored
end
call('HSET', base .. ':info', 'last', id)
wake(base)
return 1

--@ script move: clock many record weight places reap ready room wake remove store
-- KEYS: the message's queue, the queues that it goes to, the topology's base.
-- ARGV: number of queues that it goes to, id, token, and batches. Answers like store; 'lost' when the lease is.
local from, number = KEYS[1], tonumber(ARGV[1])
local record = redis.call('HGET', from .. ':claims', ARGV[2])
if not record or string.sub(record, 1, #ARGV[3] + 1) ~= ARGV[3] .. ' ' then return 'lost' end
local _, _, priority = parse(record, ARGV[2], highest_of(from))
check_removal(from)
redis.call('ZCARD', from .. ':wait:' .. priority)
local answer = store(2, number, KEYS[number + 2], 4)
if answer == 1 then remove(from, redis.call('HGET', from .. ':info', 'bytes'), {ARGV[2]}, {record}) end
return answer

--@ script claim: clock many record weight places reap wake take each
-- KEYS: bases. ARGV: token, microseconds of lease, and a limit for each queue.
local answer, ends = new_answer(), whole(now + ARGV[2])
return take_from_each(answer, function(queue, base)
  local info = redis.call('HMGET', base .. ':info', 'priority', 'paused', 'bytes')
  local left, priority = tonumber(ARGV[queue + 2]), tonumber(info[1] or nil)
  if not priority or info[2] or left <= 0 then return end
  reap(base, priority, info[3])
  local p = priority
  while p >= 0 and left > 0 do
    local size = math.min(left, 1000)
    local found = redis.call('ZRANGEBYSCORE', base .. ':wait:' .. p, '-inf', whole(now), 'WITHSCORES', 'LIMIT', 0, size)
    local ids, dues = pairs_of(found)
    take(answer, queue, base, info[3], p, ids, dues, ARGV[1], ends)
    left = left - #ids
    if #ids < size then p = p - 1 end
  end
  if left == 0 then
    -- Others who wait shall have what is left.
    while p >= 0 and redis.call('ZCOUNT', base .. ':wait:' .. p, '-inf', whole(now)) == 0 do p = p - 1 end
    if p >= 0 then wake(base) end
  end
end)

--@ script settle: clock many record weight places remove wake
-- KEYS: bases. ARGV: groups, each: number of the queue, 'done', 'release' or 'extend', token, microseconds (of
-- delay or lease), 1 if the delivery counts, number of ids, ids. Answers '1' or '0' for each id in one text.
local answers, at = {}, 1

local function release(base, bytes, delay, counts, ids, records)
  if #ids == 0 then return end
  local highest, waiting, kept, dropped, size = highest_of(base), {}, {}, {}, 0
  for n, id in ipairs(ids) do
    local deliveries, due, priority = parse(records[n], id, highest)
    if delay > 0 then due = whole(now + delay) end
    if not counts then deliveries = deliveries - 1 end
    place(waiting, priority, due, id)
    if deliveries + 0 > 0 then
      kept[#kept + 1], kept[#kept + 2] = id, '- ' .. deliveries .. ' ' .. due .. ' ' .. priority
    else
      dropped[#dropped + 1] = id
    end
    if bytes and redis.call('ZSCORE', base .. ':held', id) then size = size + weigh_all(base, {id}) end
  end
  check_places(base, waiting)
  many('ZREM', base .. ':held', ids, 4000)
  put_in_places(base, waiting)
  many('HSET', base .. ':claims', kept, 4000)
  many('HDEL', base .. ':claims', dropped, 4000)
  add_weight(base, bytes, size)
  wake(base)
end

local function extend(base, bytes, seconds, ids, records)
  for n, id in ipairs(ids) do
    if redis.call('ZREM', base .. ':held', id) == 0 then
      local _, _, priority = parse(records[n], id, highest_of(base))
      local size = bytes and weigh_all(base, {id}) or 0
      if redis.call('ZREM', base .. ':wait:' .. priority, id) == 1 then add_weight(base, bytes, -size) end
    end
    redis.call('ZADD', base .. ':held', whole(now + seconds), id)
  end
end

while at <= #ARGV do
  local base, what, token = KEYS[tonumber(ARGV[at])], ARGV[at + 1], ARGV[at + 2] .. ' '
  local micro, counts, count = tonumber(ARGV[at + 3]), ARGV[at + 4] == '1', tonumber(ARGV[at + 5])
  local ids, seen, mine, records = {}, {}, {}, {}
  for n = 1, count do ids[n] = ARGV[at + 5 + n] end
  for n, record in ipairs(fetch(base .. ':claims', ids)) do
    local id = ids[n]
    local held = record and string.sub(record, 1, #token) == token and not seen[id]
    answers[#answers + 1] = held and '1' or '0'
    if held then
      seen[id] = true
      mine[#mine + 1], records[#records + 1] = id, record
    end
  end
  local bytes = redis.call('HGET', base .. ':info', 'bytes')
  if what == 'done' then
    remove(base, bytes, mine, records)
  elseif what == 'release' then
    release(base, bytes, micro, counts, mine, records)
  else
    extend(base, bytes, micro, mine, records)
  end
  at = at + 6 + count
end
return table.concat(answers)

--@ script due: clock
-- KEYS: bases. Microseconds until something may be claimed; '' where there is nothing.
local first
local function see(key)
  local soonest = tonumber(redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2] or nil)
  if soonest and soonest < 1e17 and (not first or soonest < first) then first = soonest end
end
for _, base in ipairs(KEYS) do
  local info = redis.call('HMGET', base .. ':info', 'priority', 'paused')
  if info[1] and not info[2] then
    see(base .. ':held')
    for p = tonumber(info[1]), 0, -1 do see(base .. ':wait:' .. p) end
  end
end
return first and whole(math.max(first - now, 0)) or ''

--@ script counts: clock many record weight places reap ready
-- KEYS: bases. For each: ready, delayed, leased, microseconds since the oldest ready one was stored or ''; or ''.
local answer = {}
for n, base in ipairs(KEYS) do
  local info = redis.call('HMGET', base .. ':info', 'priority', 'bytes')
  local priority = tonumber(info[1] or -1)
  if priority < 0 then
    answer[n] = ''
  else
    reap(base, priority, info[2])
    local delayed, oldest = 0, ''
    for p = priority, 0, -1 do
      local wait = base .. ':wait:' .. p
      delayed = delayed + redis.call('ZCOUNT', wait, '(' .. whole(now), '+inf')
      local head = redis.call('ZRANGEBYSCORE', wait, '-inf', whole(now), 'LIMIT', 0, 1)[1]
      if head and is_ours(head) and (oldest == '' or head < oldest) then oldest = head end
    end
    local late = redis.call('ZCOUNT', base .. ':held', '-inf', whole(now))
    local leased = redis.call('ZCARD', base .. ':held') - late
    local age = oldest == '' and '' or whole(math.max(now - oldest, 0))
    answer[n] = {count_ready(base, priority) + late, delayed, leased, age}
  end
end
return answer

--@ script purge: clock many record weight places reap remove
-- KEYS: base. Removes what nobody holds, and answers how many those were.
local base = KEYS[1]
local info, removed = redis.call('HMGET', base .. ':info', 'priority', 'bytes'), 0
local highest = tonumber(info[1] or nil)
if not highest then return 0 end
reap(base, highest, info[2])
check_removal(base)
redis.call('HLEN', base .. ':claims')
for p = highest, 0, -1 do removed = removed + redis.call('ZCARD', base .. ':wait:' .. p) end
local nobody = redis.call('ZCARD', base .. ':held') == 0
for p = highest, 0, -1 do
  local wait = base .. ':wait:' .. p
  if nobody then
    redis.call('UNLINK', wait)
  else
    local ids = redis.call('ZRANGE', wait, 0, 999)
    while #ids > 0 do
      for _, part in ipairs({':body', ':claims'}) do redis.call('HDEL', base .. part, unpack(ids)) end
      redis.call('ZREM', base .. ':expiry', unpack(ids))
      redis.call('ZREM', wait, unpack(ids))
      ids = redis.call('ZRANGE', wait, 0, 999)
    end
  end
end
if nobody then redis.call('UNLINK', base .. ':body', base .. ':claims', base .. ':expiry') end
redis.call('DEL', base .. ':wake')
if info[2] then redis.call('HDEL', base .. ':info', 'weight') end
return removed

--@ script surplus: clock many record weight places reap ready take each
-- KEYS: bases. ARGV: token, microseconds of lease. Leases what is ready beyond the limits, from the head.
local answer, ends = new_answer(), whole(now + ARGV[2])
return take_from_each(answer, function(queue, base)
  local info = redis.call('HMGET', base .. ':info', 'priority', 'length', 'bytes')
  local priority = tonumber(info[1] or nil)
  if not priority or not (info[2] or info[3]) then return end
  reap(base, priority, info[3])
  local number = info[2] and math.max(count_ready(base, priority) - info[2], 0) or 0
  local size = info[3] and weigh_ready(base, priority) - info[3] or 0
  local p = priority
  while p >= 0 and (number > 0 or size > 0) do
    local found = redis.call(
      'ZRANGEBYSCORE', base .. ':wait:' .. p, '-inf', whole(now), 'WITHSCORES', 'LIMIT', 0,
      size > 0 and 1 or math.min(number, 1000)
    )
    local ids, dues = pairs_of(found)
    if #ids == 0 then p = p - 1 end
    if size > 0 then size = size - weigh_all(base, ids) end
    number = number - #ids
    take(answer, queue, base, info[3], p, ids, dues, ARGV[1], ends)
  end
end)

--@ script expired: clock many record weight places reap take chosen
-- KEYS: base. ARGV: token, microseconds of lease, limit. Leases what has expired and nobody holds. Answers when to
-- look again ('' for never), and like claim.
local base, limit = KEYS[1], tonumber(ARGV[3])
local answer, ends = new_answer(), whole(now + ARGV[2])
local info = redis.call('HMGET', base .. ':info', 'priority', 'bytes')
local highest = tonumber(info[1] or nil)
if not highest then return {'', complete(answer)} end
reap(base, highest, info[2])
local seen, taken = 0, 0
while taken < limit do
  local ids = redis.call('ZRANGEBYSCORE', base .. ':expiry', '-inf', whole(now), 'LIMIT', seen, 100)
  if #ids == 0 then break end
  seen = seen + #ids
  while #ids > limit - taken do table.remove(ids) end
  taken = taken + take_chosen(answer, 1, base, highest, info[2], ids, ARGV[1], ends)
end
local again = redis.call('ZRANGEBYSCORE', base .. ':expiry', '(' .. whole(now), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
if seen > 0 then again = whole(now + 100000) end -- what is held may come back
return {again or '', complete(answer)}

--@ script look: clock
-- KEYS: the topology's base. ARGV: 'mortal' or 'ending', microseconds, most of them. The queues that are to be looked
-- at now. They are looked at again after so long, whatever becomes of who looks now; who knows better lowers that, and
-- cannot raise it, so that it is never later than another wants it.
local list = KEYS[1] .. ':' .. ARGV[1]
local bases = redis.call('ZRANGEBYSCORE', list, '-inf', whole(now), 'LIMIT', 0, ARGV[3])
for _, base in ipairs(bases) do
  redis.call('ZREM', list, base)
  redis.call('ZADD', list, whole(now + ARGV[2]), base)
end
return bases

--@ script browse: clock many record
-- KEYS: base. ARGV: limit, id or ''. In the order of storing, by the ids of all messages.
local base, limit, after = KEYS[1], tonumber(ARGV[1]), ARGV[2]
local ids = {}
for _, id in ipairs(redis.call('HKEYS', base .. ':body')) do
  if id > after then ids[#ids + 1] = id end
end
table.sort(ids)
while #ids > limit do ids[#ids] = nil end
local answer, lines = {whole(now), ''}, {}
if #ids > 0 then
  local records, packed = fetch(base .. ':claims', ids), fetch(base .. ':body', ids)
  for n, id in ipairs(ids) do
    local deliveries = parse(records[n], id, 0)
    lines[n], answer[n + 2] = '1 ' .. (is_ours(id) and id or told(id)) .. ' ' .. deliveries, packed[n] or ''
  end
  answer[2] = table.concat(lines, ' ')
end
return answer

--@ script choose: clock many record weight places reap take chosen
-- KEYS: base. ARGV: token, microseconds of lease, ids. Leases those of them that nobody holds.
local base, answer, ids = KEYS[1], new_answer(), {}
local info = redis.call('HMGET', base .. ':info', 'priority', 'bytes')
local highest = tonumber(info[1] or nil)
if not highest then return complete(answer) end
reap(base, highest, info[2])
for n = 3, #ARGV do ids[n - 2] = ARGV[n] end
take_chosen(answer, 1, base, highest, info[2], ids, ARGV[1], whole(now + ARGV[2]))
return complete(answer)

--@ script pause
-- KEYS: base. ARGV: '1' or '0'. Whether there is such a queue.
if redis.call('EXISTS', KEYS[1] .. ':info') == 0 then return 0 end
if ARGV[1] == '1' then
  redis.call('HSET', KEYS[1] .. ':info', 'paused', 1)
else
  redis.call('HDEL', KEYS[1] .. ':info', 'paused')
  redis.call('DEL', KEYS[1] .. ':wake')
  redis.call('RPUSH', KEYS[1] .. ':wake', 1)
end
return 1

--@ helper users
-- Those who are there, as name -> {place, until}; whoever was away too long is forgotten.
local function users(base)
  local found, all = {}, redis.call('HGETALL', base .. ':users')
  for n = 1, #all, 2 do
    local place, till = string.match(all[n + 1], '^(%d+) (%d+)$')
    till = tonumber(till) or 0
    if till > now then
      found[all[n]] = {place = place, till = till}
    else
      redis.call('HDEL', base .. ':users', all[n])
    end
  end
  return found
end

local function last_end(there)
  local last = 0
  for _, user in pairs(there) do last = math.max(last, user.till) end
  return last
end

local function set_end(base, gone, topology)
  redis.call('HSET', base .. ':info', 'gone', whole(gone))
  if topology then redis.call('ZADD', topology .. ':ending', 'LT', whole(gone), base) end
end

local function check_end(topology)
  if topology then redis.call('ZCARD', topology .. ':ending') end
end

--@ script attend: clock users
-- KEYS: base, the topology's base where it can be reached. ARGV: microseconds, and users. Answers '' where the queue
-- is gone, else the microsecond at which its life is over, or '0'.
local base, lasts = KEYS[1], tonumber(ARGV[1])
local info = redis.call('HMGET', base .. ':info', 'gone', 'life', 'last')
local gone, life = tonumber(info[1] or nil), tonumber(info[2] or nil)
if not info[3] or (gone and gone <= now) then return '' end
check_end(KEYS[2])
redis.call('HDEL', base .. ':users', '') -- of a name that nobody has: it has begun to write
local there = users(base)
if lasts > 0 then
  for n = 2, #ARGV do
    local user = there[ARGV[n]] or {place = whole(redis.call('HINCRBY', base .. ':info', 'place', 1))}
    user.till = now + lasts
    there[ARGV[n]] = user
    redis.call('HSET', base .. ':users', ARGV[n], user.place .. ' ' .. whole(user.till))
  end
  redis.call('PEXPIREAT', base .. ':users', whole(math.ceil(last_end(there) / 1000) + 1))
end
if not life then return '0' end
if lasts > 0 then gone = last_end(there) + life else gone = math.max(gone or 0, now + life) end
set_end(base, gone, KEYS[2])
return whole(gone)

--@ script leave: clock users
-- KEYS and answer as in attend. ARGV: users.
local base = KEYS[1]
local info = redis.call('HMGET', base .. ':info', 'life', 'autodelete', 'gone')
check_end(KEYS[2])
local there, life, left, consumer_left = users(base), tonumber(info[1] or nil), false, false
for _, user in ipairs(ARGV) do
  if there[user] then
    left, there[user] = true, nil
    redis.call('HDEL', base .. ':users', user)
    consumer_left = consumer_left or string.sub(user, 1, 1) == 'c'
  end
end
if not life or not left then return '0' end
local stays = false
for user in pairs(there) do stays = stays or string.sub(user, 1, 1) == 'c' end
local gone
if info[2] and consumer_left and not stays then
  gone = now
elseif next(there) == nil then
  gone = now + life
end
if not gone then return '0' end
set_end(base, gone, KEYS[2])
return whole(gone)

--@ script attending: clock users
-- KEYS: bases. For each: name, place, name, place …
local answer = {}
for n, base in ipairs(KEYS) do
  local found = {}
  for user, its in pairs(users(base)) do
    found[#found + 1], found[#found + 2] = user, its.place
  end
  answer[n] = found
end
return answer

--@ script over: clock
-- KEYS: bases. For each when its life is over, and '1' if it is; '' for never.
local answer = {}
for n, base in ipairs(KEYS) do
  local gone = tonumber(redis.call('HGET', base .. ':info', 'gone') or nil)
  answer[n] = gone and {whole(gone), gone <= now and '1' or '0'} or ''
end
return answer

--@ helper queues
-- What a queue is made of: ARGV[at] is the number of fields and values, which follow.
local function make(base, at)
  local size = tonumber(ARGV[at])
  redis.call('HSET', base .. ':info', 'last', 0, unpack(ARGV, at + 1, at + size))
  local first = redis.call('HGET', base .. ':info', 'first')
  if first then redis.call('HSET', base .. ':info', 'gone', whole(now + first)) end
  return at + size + 1
end

-- Answers how many messages it had.
local function unmake(base)
  local had = redis.call('HLEN', base .. ':body')
  local highest = tonumber(redis.call('HGET', base .. ':info', 'priority') or nil) or 0
  for p = highest, 0, -1 do redis.call('UNLINK', base .. ':wait:' .. p) end
  for _, part in ipairs({':info', ':held', ':body', ':claims', ':expiry', ':users', ':wake'}) do
    redis.call('UNLINK', base .. part)
  end
  return had
end

local function is_over(base)
  local gone = tonumber(redis.call('HGET', base .. ':info', 'gone') or nil)
  return gone and gone <= now
end

--@ script change: clock queues
-- KEYS: the topology's base and, where they can be reached, the bases of queues that go and of those that come.
-- ARGV: version that it had, its new version, text or '' where nothing is declared any more, '1' if queues go only
-- when their life is over, number that go, number that come, their bases, for each that comes its first life or '',
-- and for each that comes what it is made of.
-- Answers how many messages went and one more; -1 where the version is another, -2 where a queue's life is not over.
local topology, going, coming = KEYS[1], tonumber(ARGV[5]), tonumber(ARGV[6])
if (redis.call('HGET', topology .. ':document', 'version') or '0') ~= ARGV[1] then return -1 end
if ARGV[4] == '1' then
  for n = 2, math.min(#KEYS, going + 1) do
    if not is_over(KEYS[n]) then return -2 end
  end
end
for _, list in ipairs({':mortal', ':ending'}) do redis.call('ZCARD', topology .. list) end
redis.call('SCARD', topology .. ':paused')
for n = 2, #KEYS do
  redis.call('HLEN', KEYS[n] .. ':info')
  if n <= going + 1 then redis.call('HLEN', KEYS[n] .. ':body') end
end
local had, at = 0, 7
for n = 1, going do
  redis.call('ZREM', topology .. ':mortal', ARGV[at])
  redis.call('ZREM', topology .. ':ending', ARGV[at])
  redis.call('SREM', topology .. ':paused', ARGV[at])
  if KEYS[n + 1] then had = had + unmake(KEYS[n + 1]) end
  at = at + 1
end
redis.call('HSET', topology .. ':document', 'version', ARGV[2], 'text', ARGV[3])
if ARGV[3] == '' then
  redis.call('EXPIRE', topology .. ':document', 3600) -- no version means just that: nothing is declared
else
  redis.call('PERSIST', topology .. ':document')
end
for n = 1, coming do
  local first = ARGV[at + coming]
  if first ~= '' then redis.call('ZADD', topology .. ':ending', 'LT', whole(now + first), ARGV[at]) end
  at = at + 1
end
at = at + coming
for n = going + 2, #KEYS do at = make(KEYS[n], at) end
return had + 1

-- In a cluster a queue and the topology are in different places. A queue is made before the topology tells of it, and
-- is dying from before the topology forgets it; what is dying takes no messages. Its incarnation tells it apart from
-- a successor of the same name.

--@ script create: clock queues
-- KEYS: base. ARGV: what it is made of. Does nothing where it is alive.
local state = redis.call('HMGET', KEYS[1] .. ':info', 'last', 'dying')
if state[1] and not state[2] then return 0 end
if state[1] then unmake(KEYS[1]) end
make(KEYS[1], 1)
return 1

--@ script fade: clock queues
-- KEYS: base. ARGV: '1' if only when its life is over. Answers its incarnation; '' where there is none, or '-' where
-- its life is not over.
local incarnation = redis.call('HGET', KEYS[1] .. ':info', 'incarnation')
if not incarnation then return '' end
if ARGV[1] == '1' and not is_over(KEYS[1]) then return '-' end
redis.call('HSET', KEYS[1] .. ':info', 'dying', 1)
return incarnation

--@ script bury: clock queues
-- KEYS: base. ARGV: incarnation, and '1', or '0' to let it live on. Answers how many messages it had.
if redis.call('HGET', KEYS[1] .. ':info', 'incarnation') ~= ARGV[1] then return 0 end
if ARGV[2] == '1' then return unmake(KEYS[1]) end
return redis.call('HDEL', KEYS[1] .. ':info', 'dying')

-- A batch for several queues is stored one by one there, once each has said that it may be.

--@ script room: clock many record weight places reap ready room
-- KEYS: base. ARGV: number and bytes of messages. Answers 1 when they may be stored; 0 where there is no queue, -1
-- where it is full.
local queue, refuses = open_queue(KEYS[1])
if not queue then return 0 end
return refuses and not has_room(queue, tonumber(ARGV[1]), tonumber(ARGV[2])) and -1 or 1

--@ script holds
-- KEYS: base. ARGV: id, token. Whether the lease is the message's latest.
local record = redis.call('HGET', KEYS[1] .. ':claims', ARGV[1])
return record and string.sub(record, 1, #ARGV[2] + 1) == ARGV[2] .. ' ' and 1 or 0
