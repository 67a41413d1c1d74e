/** Something that is true of everyone in the world, each with a value of their own, and the words for it.
 *
 *  `{who}` stands for a name, `{what}` for the value. What tells is for stories, what answers for conversations;
 *  both are whole sentences, and a curt answer is the value alone. */
export interface Relation {
  readonly name: string;
  /** What there is to choose from; `people` for the names of the people. */
  readonly values: readonly string[] | "people";
  /** What one may ask about, by name. */
  readonly topic: string;
  readonly tell: readonly string[];
  readonly ask: readonly string[];
  readonly answer: string;
}

/** Everything that can be known of the world, a relation a block. */
export const relations: readonly Relation[] = [
  {
    name: "home",
    values: [
      "by the river", "near the old bridge", "behind the church", "at the edge of the wood", "on the market square",
      "beside the lake", "under the big oak", "above the bakery", "at the end of the lane", "next to the garden wall",
    ],
    topic: "{who}'s house",
    tell: ["{who}'s house is {what}.", "{who}'s house was {what}.", "{who} came to live {what}."],
    ask: ["Where is {who}'s house?", "Where does {who} live?", "Can you tell me where {who} lives?"],
    answer: "{who}'s house is {what}.",
  },
  {
    name: "work",
    values: [
      "baking bread", "catching fish", "teaching children", "growing apples", "making chairs", "healing the sick",
      "painting walls", "herding sheep", "weaving cloth", "mending shoes",
    ],
    topic: "{who}'s work",
    tell: ["{who}'s work is {what}.", "{who}'s work was {what}.", "{who} does the work of {what}."],
    ask: ["What is {who}'s work?", "What work does {who} do?", "Can you tell me what {who}'s work is?"],
    answer: "{who}'s work is {what}.",
  },
  {
    name: "pet",
    values: ["a dog", "a cat", "a goat", "a parrot", "a rabbit", "a donkey", "a goose", "a pony", "a tortoise", "a hen"],
    topic: "{who}'s pet",
    tell: ["{who}'s pet is {what}.", "{who}'s pet was {what}.", "{who} has {what} for a pet."],
    ask: ["What is {who}'s pet?", "Which pet does {who} have?", "Can you tell me what {who}'s pet is?"],
    answer: "{who}'s pet is {what}.",
  },
  {
    name: "food",
    values: [
      "apple pie", "fish soup", "honey cake", "fresh bread", "baked potatoes", "plum jam", "goat cheese",
      "fried eggs", "roast chestnuts", "cherry tart",
    ],
    topic: "{who}'s favourite food",
    tell: [
      "{who}'s favourite food is {what}.", "{who}'s favourite food was {what}.", "The food {who} likes best is {what}.",
    ],
    ask: ["What is {who}'s favourite food?", "Which food does {who} like best?", "Can you tell me what {who}'s favourite food is?"],
    answer: "{who}'s favourite food is {what}.",
  },
  {
    name: "treasure",
    values: [
      "a silver key", "a small lantern", "an old map", "a green scarf", "a brass bell", "a glass bead", "a lucky coin",
      "a blue feather", "a carved spoon", "a golden ring",
    ],
    topic: "{who}'s treasure",
    tell: [
      "{who}'s treasure is {what}.", "{who}'s treasure was {what}.", "The treasure {who} carries is {what}.",
    ],
    ask: ["What is {who}'s treasure?", "Which treasure does {who} carry?", "Can you tell me what {who}'s treasure is?"],
    answer: "{who}'s treasure is {what}.",
  },
  {
    name: "instrument",
    values: [
      "the flute", "the drum", "the fiddle", "the harp", "the horn", "the guitar", "the piano", "the trumpet",
    ],
    topic: "{who}'s instrument",
    tell: [
      "{who}'s instrument is {what}.", "{who}'s instrument was {what}.", "The instrument {who} plays is {what}.",
    ],
    ask: ["What is {who}'s instrument?", "Which instrument does {who} play?", "Can you tell me what {who}'s instrument is?"],
    answer: "{who}'s instrument is {what}.",
  },
  {
    name: "friend",
    values: "people",
    topic: "{who}'s best friend",
    tell: [
      "{who}'s best friend is {what}.", "{who}'s best friend was {what}.", "The best friend of {who} is {what}.",
    ],
    ask: ["Who is {who}'s best friend?", "Who is the best friend of {who}?", "Can you tell me who {who}'s best friend is?"],
    answer: "{who}'s best friend is {what}.",
  },
  {
    name: "deed",
    values: [
      "won the boat race", "found a gold coin", "saw a white deer", "broke a leg", "built a snow tower",
      "wrote a long poem", "climbed the church tower", "caught a huge fish", "lost a tooth", "saved a lamb",
    ],
    topic: "{who} last winter",
    tell: ["Last winter {who} {what}.", "It was last winter that {who} {what}.", "Everybody knew that last winter {who} {what}."],
    ask: ["What did {who} do last winter?", "What happened to {who} last winter?", "Can you tell me what {who} did last winter?"],
    answer: "Last winter {who} {what}.",
  },
];
