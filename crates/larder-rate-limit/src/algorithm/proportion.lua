-- x / y, rounded up.
local function ceil_div(x, y) return -math.floor(-x / y) end

-- The quotient and the rest of amount * part / whole, for part <= whole <= 2^52. Where the product is over 2^53 it is
-- divided digit by digit, with digits that are so large as the whole allows.
local function divided(amount, part, whole)
  local product = amount * part
  if product < 9007199254740992 then
    local rest = product % whole
    return (product - rest) / whole, rest
  end
  local base = math.floor(9007199254740992 / whole)
  local digit = amount % base
  local quotient, rest = divided((amount - digit) / base, part, whole)
  local high, low = rest * base, digit * part
  rest = high % whole + low % whole
  quotient = quotient * base + (high - high % whole) / whole + (low - low % whole) / whole
  if rest >= whole then return quotient + 1, rest - whole end
  return quotient, rest
end

-- amount * part / whole, exact and rounded up, for part <= whole <= 2^52.
local function proportion(amount, part, whole)
  local quotient, rest = divided(amount, part, whole)
  if rest > 0 then return quotient + 1 end
  return quotient
end
