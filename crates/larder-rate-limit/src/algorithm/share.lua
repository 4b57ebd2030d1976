-- x / y, rounded up.
local function ceil_div(x, y) return -math.floor(-x / y) end

-- amount * part / whole, rounded up, for part <= whole. Keeps under 2^53 by making part / whole coarser, and never
-- smaller, where whole is over 2^26.
local function share(amount, part, whole)
  local unit = ceil_div(whole, 67108864)
  if unit > 1 then
    part, whole = ceil_div(part, unit), math.floor(whole / unit)
    if part > whole then part = whole end
  end
  local rest = amount % whole
  return (amount - rest) / whole * part + ceil_div(rest * part, whole)
end
