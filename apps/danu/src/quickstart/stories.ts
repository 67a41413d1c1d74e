import { Random } from "@danu/model";

import { pick, type Person, type World } from "./world.ts";

/** What a plot is told with. */
interface Telling {
  readonly world: World;
  readonly hero: Person;
  readonly friend: Person;
  readonly random: Random;
  /** One of several ways to say it. */
  readonly say: (...ways: readonly string[]) => string;
}

type Plot = (telling: Telling) => readonly string[];

const numbers = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"] as const;
const hidingPlaces = [
  "under the bed",
  "behind the door",
  "in the tall grass",
  "on the kitchen table",
  "under a pile of leaves",
  "in the boat",
] as const;
const brokenThings = ["roof", "gate", "boat", "fence", "window", "cart"] as const;
const tools = ["hammer", "saw", "long rope", "ladder", "box of nails", "pot of glue"] as const;
const weathers = [
  "The sun was shining",
  "A soft rain was falling",
  "A cold wind was blowing",
  "It was snowing",
  "Fog lay over the fields",
] as const;
const gifts = ["warm hat", "book of songs", "painted cup", "little chair", "basket of pears", "pair of boots"] as const;

/** Stories of a world, one a document; equal seeds give equal stories. */
export function* tellStories(world: World, seed: number, count: number): Generator<string, void, undefined> {
  const random = new Random(seed);
  for (let i = 0; i < count; i++) {
    const hero = pick(world.people, random);
    const friend = world.people[hero.friend]!;
    const say = (...ways: readonly string[]): string => pick(ways, random);
    const telling = { world, hero, friend, random, say };
    yield [...opening(telling), ...pick(plots, random)(telling), ...ending(telling)].join(" ");
  }
}

function opening({ world, hero, random, say }: Telling): string[] {
  const {
    name,
    job,
    home,
    pet,
    food,
    pronouns: { subject, possessive },
  } = hero;
  const [first, ...facts] = pick<string[]>(
    [
      [`Once upon a time there was a ${job} called ${name}, who lived in ${home}.`],
      [`In the village of ${world.village} lived ${name}, the ${job}.`, `${capital(possessive)} home was ${home}.`],
    ],
    random,
  );
  facts.push(
    `${name} had a ${pet.kind} called ${pet.name}.`,
    `${capital(possessive)} favourite food was ${food}.`,
    `Every day ${subject} went to ${hero.workplace}.`,
  );
  const weather = `One ${say("spring", "summer", "autumn", "winter")} ${say("morning", "afternoon", "evening")} ${lower(
    pick(weathers, random),
  )}.`;
  return [first!, ...facts.filter(() => random.uniform() < 0.4), weather];
}

function ending({ hero, friend, say }: Telling): string[] {
  const { name, pet, food, home } = hero;
  return [
    say(
      `Then ${name} and ${friend.name} sat down together and ate ${food}.`,
      `That night ${name} slept well in ${home}.`,
      `${pet.name} the ${pet.kind} was happy too.`,
      `"Thank you, ${friend.name}," said ${name}. "You are my best friend."`,
      `And ${name} never forgot that day.`,
    ),
  ];
}

const lostTreasure: Plot = ({ hero, friend, random, say }) => {
  const {
    name,
    treasure,
    pronouns: { subject, possessive },
  } = hero;
  const [wrong, right] = [pick(hidingPlaces, random), pick(hidingPlaces, random)];
  return [
    say(`${name} could not find ${possessive} ${treasure}.`, `${name} had lost ${possessive} ${treasure}.`),
    `"Where is my ${treasure}?" ${subject} said.`,
    say(
      `${capital(subject)} asked ${friend.name} the ${friend.job} for help.`,
      `${friend.name} the ${friend.job} came to help.`,
    ),
    ...(wrong === right ? [] : [`They looked ${wrong}, but it was not there.`]),
    `Then they looked ${right}, and there was the ${treasure}!`,
    say(`${name} was so glad that ${subject} laughed.`, `${name} put it in ${possessive} pocket and smiled.`),
  ];
};

const shopping: Plot = ({ hero, friend, random }) => {
  const {
    name,
    food,
    pronouns: { subject },
  } = hero;
  const had = 3 + Math.floor(random.uniform() * 8);
  const cost = 1 + Math.floor(random.uniform() * (had - 1));
  const coins = (count: number): string => `${numbers[count]!} ${count === 1 ? "coin" : "coins"}`;
  return [
    `${name} went to the market with ${coins(had)} to buy ${food}.`,
    `The ${food} cost ${coins(cost)}.`,
    `${capital(subject)} paid, and had ${coins(had - cost)} left.`,
    `On the way home ${subject} met ${friend.name} the ${friend.job}.`,
    `"What do you have there?" asked ${friend.name}. "${capital(food)}," said ${name}. "Come and eat with me."`,
  ];
};

const repair: Plot = ({ hero, friend, random, say }) => {
  const { name } = hero;
  const [thing, tool] = [pick(brokenThings, random), pick(tools, random)];
  const { subject, object } = friend.pronouns;
  return [
    `${name} heard a loud noise from ${friend.home}.`,
    `It was the house of ${friend.name} the ${friend.job}, and the ${thing} was broken.`,
    `"Oh no," said ${friend.name}. "I cannot mend the ${thing} alone."`,
    say(`${name} ran home and came back with a ${tool}.`, `${name} brought a ${tool} to help ${object}.`),
    `They worked until the ${thing} was as good as new.`,
    `${friend.name} was thankful, and ${subject} gave ${name} some ${friend.food}.`,
  ];
};

const runaway: Plot = ({ hero, friend, random, say }) => {
  const {
    name,
    pet,
    food,
    pronouns: { subject, possessive },
  } = hero;
  return [
    `${pet.name} the ${pet.kind} ran away.`,
    `${name} was sad and called, "${pet.name}! ${pet.name}!"`,
    `${capital(subject)} looked at ${hero.workplace}, and ${subject} looked ${pick(hidingPlaces, random)}.`,
    `At last ${subject} went to ${friend.workplace}, where ${friend.name} worked.`,
    say(
      `There was ${pet.name}, asleep in the sun.`,
      `There was ${pet.name}, playing with ${friend.pet.name} the ${friend.pet.kind}.`,
    ),
    `"Your ${pet.kind} smelled my ${food}," said ${friend.name}.`,
    `${name} took ${possessive} ${pet.kind} home.`,
  ];
};

const birthday: Plot = ({ hero, friend, random, say }) => {
  const {
    name,
    pronouns: { subject, object },
  } = hero;
  const gift = pick(gifts, random);
  return [
    `It was the birthday of ${friend.name}, who lived in ${friend.home}.`,
    `${name} wanted to give ${friend.pronouns.object} a ${gift}.`,
    say(
      `${capital(subject)} worked on it for ${numbers[2 + Math.floor(random.uniform() * 8)]!} days.`,
      `${capital(subject)} found one at the market.`,
    ),
    `"Happy birthday!" said ${name}.`,
    `${friend.name} opened the box and saw the ${gift}.`,
    `"It is just what I wanted," said ${friend.name}, and thanked ${object}.`,
  ];
};

const storm: Plot = ({ hero, friend, say }) => {
  const {
    name,
    workplace,
    treasure,
    pronouns: { subject, possessive },
  } = hero;
  return [
    `${name} was on the way to ${workplace} when a storm came.`,
    say("The sky turned dark.", "Thunder rolled over the hills.", "The rain fell harder and harder."),
    `${capital(subject)} could not see the road, but ${subject} had ${possessive} ${treasure}.`,
    `Then ${subject} saw a light. It was ${friend.home}, where ${friend.name} lived.`,
    `"Come in," said ${friend.name}. "You can stay until the storm is over."`,
    `They drank hot tea and talked about ${say(
      "the sea",
      "old times",
      `the village`,
      `${friend.pet.name} the ${friend.pet.kind}`,
    )}.`,
  ];
};

const questions: Plot = ({ world, hero, random }) => {
  const asked = Array.from({ length: 3 }, () => pick(world.people, random));
  const answers = asked.flatMap((person) => {
    const {
      name,
      home,
      job,
      pet,
      food,
      pronouns: { subject },
    } = person;
    const Subject = capital(subject);
    return pick(
      [
        [`"Where does ${name} live?"`, `"${Subject} lives in ${home}."`],
        [`"What does ${name} do?"`, `"${Subject} is a ${job}."`],
        [`"What is the name of ${name}'s ${pet.kind}?"`, `"It is called ${pet.name}."`],
        [`"What does ${name} like to eat?"`, `"${Subject} likes ${food}."`],
      ],
      random,
    );
  });
  return [`A child who was new in ${world.village} had many questions for ${hero.name}.`, ...answers];
};

const plots: readonly Plot[] = [lostTreasure, shopping, repair, runaway, birthday, storm, questions];

function capital(text: string): string {
  return text[0]!.toUpperCase() + text.slice(1);
}

function lower(text: string): string {
  return text[0]!.toLowerCase() + text.slice(1);
}
