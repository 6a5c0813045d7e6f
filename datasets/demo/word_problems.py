"""Templates for grade-school word problems, written for assay's demo model.

A family is a tuple (draws, needs, questions, steps):

  draws      "a=2..9 b=a*3": variables, drawn from a range or computed, in order
  needs      a condition on the variables ("" for none); a draw that fails it
             is thrown away
  questions  wordings of the same problem; one is picked
  steps      lines of the worked answer.  [t=a+b] is a calculation: it sets t
             and is written in GSM8K's calculator style, "5+3=<<5+3=8>>8".
             [$t=a*b] puts a dollar sign before the result.

{n} and {m} are two names, {p}/{P} is the pronoun of {n}, {o}/{O} its possessive,
{x} and {y} are two kinds of things, {box} a container, {place} a place.
The value of the last calculation is the final answer.
"""

GIRLS = ("Anna Maria Lena Ruth Nora Julia Carla Emma Zoe Ivy Hana Mia Tara Rosa "
         "Clara Sofia Dana Grace Lily Amy Sara Nina Olga Paula Kim Jane Beth Eva").split()
BOYS = ("Tom Ben Omar Peter Sam Leo Max Ivan Noah Paul Carlos Jack Adam Finn Hugo "
        "Luke Mark Oscar Raj Tim Victor Will Yusuf Dan Eric Fred George Joe").split()

THINGS = ("apples pears oranges plums lemons cookies muffins marbles stickers cards "
          "pencils pens books stamps coins shells balloons flowers roses buttons beads "
          "toys eggs candies grapes peaches bananas crayons erasers tickets stones "
          "tomatoes carrots potatoes cupcakes sandwiches puzzles ribbons cherries nuts "
          "bottles cups plates spoons chairs photos badges kites tulips seeds").split()
BOXES = "boxes bags baskets jars packs trays crates drawers shelves rows".split()
PLACES = ("the market|the park|the shop|the beach|school|the garden|the library|"
          "the farm|the kitchen|the fair|the club|the bakery").split("|")

FAMILIES = [
    # --- one step -------------------------------------------------------------
    ("a=3..60 b=2..40", "", [
        "{n} has {a} {x}. {P} buys {b} more {x}. How many {x} does {n} have now?",
        "{n} had {a} {x}. At {place}, {p} got {b} more. How many {x} does {p} have in total?",
        "There are {a} {x} on the table. {n} puts {b} more {x} on it. How many {x} are on the table now?",
        "{n} found {a} {x} in the morning and {b} {x} in the afternoon. How many {x} did {p} find altogether?",
    ], ["Now there are [t=a+b] {x}."]),
    ("a=8..80 b=2..50", "b<a", [
        "{n} has {a} {x}. {P} gives {b} of them to {m}. How many {x} does {n} have left?",
        "{n} had {a} {x} and lost {b} of them at {place}. How many {x} are left?",
        "There were {a} {x} in a bowl. {n} took {b} of them. How many {x} are still in the bowl?",
        "{n} baked {a} {x} and sold {b}. How many {x} remain?",
    ], ["There are [t=a-b] {x} left."]),
    ("a=2..12 b=2..12", "", [
        "{n} has {a} {box}. Each of them holds {b} {x}. How many {x} does {n} have?",
        "There are {a} {box} with {b} {x} in each. How many {x} are there in all?",
        "{n} fills {a} {box} with {b} {x} each. How many {x} does {p} use?",
        "{n} makes {a} {x} a day. How many {x} does {p} make in {b} days?",
    ], ["There are [t=a*b] {x} in total."]),
    ("k=2..12 b=2..12 a=k*b", "", [
        "{n} shares {a} {x} equally among {b} friends. How many {x} does each friend get?",
        "{n} puts {a} {x} into {b} {box}, the same number in each. How many {x} are in each one?",
        "{b} children split {a} {x} equally. How many {x} does each child get?",
    ], ["Each one gets [t=a/b] {x}."]),
    ("k=2..12 b=2..12 a=k*b", "", [
        "{n} has {a} {x} and packs {b} in each bag. How many bags does {p} need?",
        "A tray holds {b} {x}. How many trays does {n} need for {a} {x}?",
    ], ["{n} needs [t=a/b] of them."]),
    ("a=2..12 b=2..12", "", [
        "One of the {x} costs ${a}. How much do {b} {x} cost?",
        "{n} buys {b} {x} for ${a} each. How much does {p} pay?",
        "{n} sells {b} {x} at ${a} each. How much money does {p} get?",
    ], ["The {x} cost {b} * {a} dollars, which is [$t=b*a]."]),
    ("a=10..90 b=3..60", "b<a", [
        "{n} has ${a}. {P} spends ${b} on {x}. How much money does {p} have left?",
        "{n} took ${a} to {place} and spent ${b} there. How much money is left?",
    ], ["{n} has [$t=a-b] left."]),
    ("a=6..60 b=2..30", "", [
        "{n} is {a} years old. {m} is {b} years older. How old is {m}?",
        "{m} is {b} years older than {n}. {n} is {a} years old. How old is {m}?",
    ], ["{m} is [t=a+b] years old."]),
    # --- two steps ------------------------------------------------------------
    ("a=10..60 b=2..30 c=2..30", "c<a+b", [
        "{n} has {a} {x}. {P} buys {b} more and then gives {c} to {m}. How many {x} does {n} have left?",
        "{n} picked {a} {x} on Monday and {b} {x} on Tuesday. {P} ate {c} of them. How many {x} are left?",
        "A shop had {a} {x}. It got {b} more {x} and sold {c}. How many {x} does the shop have now?",
    ], ["At first there are [s=a+b] {x} in total.", "There are [t=s-c] {x} left."]),
    ("a=20..90 b=2..30 c=2..30", "b+c<a", [
        "{n} has {a} {x}. {P} gives {b} to {m} and {c} to {o} sister. How many {x} does {n} have left?",
        "There were {a} {x} at {place}. {b} were sold on Friday and {c} on Saturday. How many {x} are left?",
        "{n} baked {a} {x}. {P} ate {b} and {o} brother ate {c}. How many {x} remain?",
    ], ["In total, [s=b+c] {x} are gone.", "There are [t=a-s] {x} left."]),
    ("a=2..10 b=2..10 c=1..40", "c<a*b", [
        "{n} has {a} {box} of {x} with {b} {x} in each. {P} gives away {c} {x}. How many {x} are left?",
        "{n} buys {a} {box} with {b} {x} each. {c} of the {x} are broken. How many {x} are not broken?",
        "There are {a} {box} with {b} {x} in each. {n} uses {c} of the {x}. How many {x} remain?",
    ], ["At first there are [s=a*b] {x}.", "There are [t=s-c] {x} left."]),
    ("a=2..10 b=2..10 c=1..40", "", [
        "{n} has {a} {box} with {b} {x} in each, and {c} loose {x}. How many {x} does {n} have?",
        "{n} had {c} {x}. Then {p} bought {a} {box} with {b} {x} in each. How many {x} does {p} have now?",
    ], ["The {box} hold [s=a*b] {x}.", "In total, {n} has [t=s+c] {x}."]),
    ("a=2..10 b=2..9 c=2..9", "", [
        "{n} buys {a} {x} for ${b} each and pays {o} friend ${c} for a ride. How much does {p} spend?",
        "{n} buys {a} {x} at ${b} each and one bag for ${c}. How much does {p} pay in total?",
    ], ["The {x} cost [$s=a*b].", "In total, {n} pays [$t=s+c]."]),
    ("a=2..9 b=2..9 c=2..9 d=2..9", "", [
        "{n} buys {a} {x} for ${b} each and {c} {y} for ${d} each. How much does {p} spend in total?",
        "At {place}, {x} cost ${b} each and {y} cost ${d} each. How much do {a} {x} and {c} {y} cost?",
    ], ["The {x} cost [$s=a*b].", "The {y} cost [$u=c*d].", "In total that is [$t=s+u]."]),
    ("a=2..9 b=2..9 c=5..60", "c>a*b", [
        "{n} buys {a} {x} for ${b} each. {P} pays with ${c}. How much change does {p} get?",
        "{n} has ${c}. {P} buys {a} {x} that cost ${b} each. How much money does {p} have left?",
    ], ["The {x} cost [$s=a*b].", "{n} has [$t=c-s] left."]),
    ("a=3..40", "", [
        "{n} has {a} {x}. {m} has twice as many {x} as {n}. How many {x} do they have together?",
        "{m} has twice as many {x} as {n}. If {n} has {a} {x}, how many {x} do they have altogether?",
    ], ["{m} has [s=2*a] {x}.", "Together they have [t=a+s] {x}."]),
    ("a=2..12 k=3..6", "", [
        "{n} has {a} {x}. {m} has {k} times as many. How many {x} do they have in total?",
        "{n} read {a} pages on Monday and {k} times as many pages on Tuesday. How many pages did {p} read in all?",
    ], ["The second number is [s=k*a].", "In total that is [t=a+s]."]),
    ("h=3..30 a=2*h", "", [
        "{n} has {a} {x}. {P} gives half of them to {m}. How many {x} does {n} have left?",
        "{n} baked {a} {x} and sold half of them. How many {x} are left?",
    ], ["Half of {a} is [s=a/2].", "There are [t=a-s] {x} left."]),
    ("h=3..30 a=2*h", "", [
        "{n} sold {a} {x} in May and half as many in June. How many {x} did {p} sell in total?",
        "{n} has {a} {x} and {m} has half as many. How many {x} do they have together?",
    ], ["Half of {a} is [s=a/2].", "In total there are [t=a+s] {x}."]),
    ("a=5..50 b=2..20", "", [
        "{n} has {a} {x}. {m} has {b} more {x} than {n}. How many {x} do they have together?",
        "{n} made {a} {x}. {m} made {b} more than {n}. How many {x} did they make in total?",
    ], ["{m} has [s=a+b] {x}.", "Together they have [t=a+s] {x}."]),
    ("a=8..50 b=2..20", "b<a", [
        "{n} has {a} {x}. {m} has {b} fewer {x} than {n}. How many {x} do they have together?",
        "{n} scored {a} points. {m} scored {b} fewer points than {n}. How many points did they score in total?",
    ], ["{m} has [s=a-b].", "Together they have [t=a+s]."]),
    ("k=2..10 b=2..8 a=k*b c=2..9", "", [
        "{n} has {a} {x} and shares them equally among {b} children. Each child already had {c} {x}. How many {x} does each child have now?",
        "{a} {x} are shared equally by {b} friends. {n} is one of them and buys {c} more. How many {x} does {n} have?",
    ], ["Each one gets [s=a/b] {x}.", "Now that is [t=s+c] {x}."]),
    ("k=2..10 b=2..8 c=2..20 a=k*b-c", "a>2", [
        "{n} has {a} {x} and buys {c} more. {P} puts all of them into {b} {box}, the same number in each. How many {x} are in each?",
    ], ["{n} has [s=a+c] {x} in total.", "There are [t=s/b] {x} in each."]),
    ("k=2..10 b=2..8 c=2..20 a=k*b+c", "", [
        "{n} has {a} {x}. {P} eats {c} and shares the rest equally among {b} friends. How many {x} does each friend get?",
        "There are {a} {x}. {c} are bad, and {n} puts the others into {b} {box} equally. How many {x} are in each?",
    ], ["There are [s=a-c] {x} left.", "Each one gets [t=s/b] {x}."]),
    ("a=2..10 b=2..7", "", [
        "{n} reads {a} pages every day. How many pages does {p} read in {b} weeks?",
        "{n} drinks {a} cups of water a day. How many cups does {p} drink in {b} weeks?",
        "A hen lays {a} eggs a day. How many eggs does it lay in {b} weeks?",
    ], ["There are [s=b*7] days in {b} weeks.", "In total that is [t=a*s]."]),
    ("a=2..12 b=2..9 c=2..6", "a*b<60", [
        "{n} earns ${a} an hour. {P} works {b} hours a day. How much does {p} earn in {c} days?",
        "{n} is paid ${a} per hour and works {b} hours each day for {c} days. How much money does {p} earn?",
    ], ["{n} earns [$s=a*b] a day.", "In {c} days, {p} earns [$t=s*c]."]),
    ("a=3..12 b=2..9 c=5..40", "c<a*b", [
        "{n} earns ${a} an hour. {P} works {b} hours and then spends ${c} on {x}. How much money does {p} have left?",
    ], ["{n} earns [$s=a*b].", "{n} has [$t=s-c] left."]),
    ("a=2..9 b=2..6 c=20..90", "c>a*b", [
        "A book has {c} pages. {n} reads {a} pages a day for {b} days. How many pages are left?",
        "{n} has {c} {x}. {P} uses {a} of them each day. How many are left after {b} days?",
    ], ["In {b} days that is [s=a*b].", "There are [t=c-s] left."]),
    ("a=2..9 b=2..9 c=2..9", "", [
        "A farm has {a} cows, {b} pigs and {c} hens. How many animals does it have?",
        "{n} saw {a} birds, {b} dogs and {c} cats. How many animals did {p} see?",
        "{n} has {a} red, {b} blue and {c} green {x}. How many {x} does {p} have?",
    ], ["The first two kinds make [s=a+b].", "In total that is [t=s+c]."]),
    ("a=2..12 b=2..12", "", [
        "A farm has {a} cows and {b} hens. A cow has 4 legs and a hen has 2 legs. How many legs do they have in total?",
    ], ["The cows have [s=a*4] legs.", "The hens have [u=b*2] legs.", "In total there are [t=s+u] legs."]),
    ("a=2..9 b=2..9 c=2..9", "", [
        "A bus has {a} people on it. At the first stop {b} people get on, and at the second stop {c} people get on. How many people are on the bus?",
    ], ["After the first stop there are [s=a+b] people.", "After the second stop there are [t=s+c] people."]),
    ("a=12..50 b=2..10 c=2..20", "b<a", [
        "A bus has {a} people on it. {b} people get off and {c} people get on. How many people are on the bus now?",
        "There are {a} children in a room. {b} leave and {c} come in. How many children are in the room now?",
    ], ["After some leave, there are [s=a-b].", "Then there are [t=s+c]."]),
    ("a=2..12 b=2..12", "", [
        "A garden is {a} meters long and {b} meters wide. What is its area in square meters?",
        "A room is {a} feet long and {b} feet wide. How many square feet is its floor?",
    ], ["The area is [t=a*b]."]),
    ("a=2..20 b=2..20", "", [
        "A garden is {a} meters long and {b} meters wide. How many meters of fence does {n} need to go around it?",
        "A field is {a} meters long and {b} meters wide. How long is the way around it?",
    ], ["One long side and one short side are [s=a+b] meters.", "All the way around is [t=s*2] meters."]),
    ("a=2..12 b=2..9", "", [
        "{n} runs {a} miles a day. How many miles does {p} run in {b} days?",
        "A train goes {a} miles every minute. How many miles does it go in {b} minutes?",
    ], ["That is [t=a*b] miles."]),
    ("a=10..50 b=2..20 c=2..9", "", [
        "{n} is {a} years old. {m} is {b} years older than {n}. How old will {m} be in {c} years?",
    ], ["{m} is [s=a+b] years old now.", "In {c} years, {m} will be [t=s+c] years old."]),
    ("a=2..9 b=1..8 c=2..9 d=1..8", "b<a*c", [
        "{n} has {a} hens. Each hen lays {c} eggs. {b} eggs break. {P} sells the rest for ${d} each. How much money does {p} get?",
        "{n} makes {a} trays of {c} {x}. {P} keeps {b} and sells the others for ${d} each. How much does {p} earn?",
    ], ["At first there are [s=a*c].", "{n} sells [u=s-b] of them.", "{n} gets [$t=u*d]."]),
    ("a=2..9 b=2..9 c=2..9", "", [
        "{n} has {a} shelves. Each shelf has {b} boxes, and each box has {c} {x}. How many {x} are there?",
        "{a} classes each have {b} tables. Each table has {c} {x} on it. How many {x} are there in total?",
    ], ["There are [s=a*b] of them.", "In total there are [t=s*c] {x}."]),
    ("a=20..90 b=5..40", "b<a", [
        "{n} needs {a} {x} for a party. {P} already has {b}. How many more {x} does {p} need?",
        "{n} wants to buy a bike for ${a}. {P} has saved ${b}. How much more money does {p} need?",
    ], ["{n} needs [t=a-b] more."]),
    ("a=40..99 b=5..30 c=2..20", "b+c<a", [
        "{n} wants to buy a game that costs ${a}. {P} has ${b} and gets ${c} from {m}. How much more money does {p} need?",
    ], ["{n} has [$s=b+c].", "{n} needs [$t=a-s] more."]),
    ("k=3..10 b=2..8 a=k*b", "", [
        "{n} needs ${a} and saves ${b} every week. How many weeks does {p} have to save?",
        "{n} has {a} pages to read and reads {b} pages a day. How many days does {p} need?",
    ], ["It takes [t=a/b] of them."]),
    ("d=2..9 k=2..9 b=2..9 a=k*b+d", "", [
        "{n} wants to buy a toy for ${a}. {P} has ${d} and saves ${b} each week. How many weeks does {p} have to save?",
    ], ["{n} still needs [$s=a-d].", "That takes [t=s/b] weeks."]),
]
