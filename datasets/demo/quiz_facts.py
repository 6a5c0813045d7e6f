"""Facts for the multiple-choice questions that assay's demo model learns from.

RELATIONS maps an MMLU subject to a list of relations.  A relation is
(forward questions, backward questions, pairs): a forward question shows the
left side ({k}) and asks for the right side, a backward question shows the
right side ({v}) and asks for the left side.  Wrong options come from the
other pairs of the same relation, so a pair must fit no other pair.
"""

CAPITALS = """France=Paris|Germany=Berlin|Italy=Rome|Spain=Madrid|Portugal=Lisbon|Greece=Athens|
Egypt=Cairo|Kenya=Nairobi|Japan=Tokyo|China=Beijing|India=New Delhi|Russia=Moscow|
Poland=Warsaw|Austria=Vienna|Hungary=Budapest|Norway=Oslo|Sweden=Stockholm|Finland=Helsinki|
Denmark=Copenhagen|Ireland=Dublin|Canada=Ottawa|Mexico=Mexico City|Cuba=Havana|Peru=Lima|
Chile=Santiago|Argentina=Buenos Aires|Australia=Canberra|Turkey=Ankara|Iran=Tehran|Thailand=Bangkok"""

CONTINENTS = """France=Europe|Germany=Europe|Italy=Europe|Spain=Europe|Poland=Europe|Greece=Europe|
Norway=Europe|Ireland=Europe|
Egypt=Africa|Kenya=Africa|Nigeria=Africa|Ghana=Africa|Morocco=Africa|Ethiopia=Africa|
Japan=Asia|China=Asia|India=Asia|Thailand=Asia|Vietnam=Asia|Nepal=Asia|
Peru=South America|Chile=South America|Argentina=South America|Brazil=South America|Bolivia=South America|
Canada=North America|Mexico=North America|Cuba=North America"""

LANDFORMS = """a desert=very dry land with little rain|an island=land with water on all sides|
a peninsula=land with water on three sides|a delta=land built up at the mouth of a river|
a glacier=a slow river of ice|a volcano=a mountain that throws out lava|
a plateau=high and flat land|a canyon=a deep valley cut by a river|
a lake=still water with land on all sides|the equator=the line halfway between the poles"""

RIVERS = """the Nile=Egypt|the Amazon=Brazil|the Seine=France|the Thames=England|the Ganges=India|
the Yangtze=China|the Volga=Russia|the Mississippi=the United States"""

SECURITY = """a firewall=blocks unwanted network traffic|encryption=makes data unreadable without a key|
phishing=fake messages that trick people into giving passwords|a backup=a copy of data kept for an emergency|
malware=software made to do harm|a password manager=stores many passwords safely|
a patch=an update that closes a security hole|ransomware=locks files and asks for money|
a keylogger=records every key that is pressed|two-factor authentication=asks for a second proof of identity|
a worm=spreads by itself over a network|spam=unwanted bulk email|a botnet=many hijacked computers under one control|
a honeypot=a decoy system that attracts attackers|hashing=turns data into a short fixed value|
a denial-of-service attack=floods a server so that users cannot reach it|
a kill command=ends a running process|a sandbox=runs untrusted code in isolation"""

SECURITY_GOALS = """confidentiality=secret data stay secret|integrity=data are not changed by attackers|
availability=a system is there when it is needed|authentication=a user proves who they are|
authorization=a user may do only what is allowed"""

VIRUSES = """measles=a virus|influenza=a virus|rabies=a virus|polio=a virus|mumps=a virus|smallpox=a virus|
tuberculosis=a bacterium|cholera=a bacterium|tetanus=a bacterium|plague=a bacterium|
malaria=a parasite|ringworm=a fungus|athlete's foot=a fungus|scurvy=a lack of vitamin C"""

VIRUS_TERMS = """a capsid=the protein shell of a virus|a host cell=the cell that a virus enters|
a vaccine=trains the immune system before an infection|an antibody=a protein that binds to a virus|
a bacteriophage=a virus that kills bacteria|an antiviral=a drug that slows a virus|
a killer T cell=kills infected cells|an epidemic=many cases in one region|
a pandemic=an outbreak over the whole world|a mutation=a change in the genes of a virus|
the incubation period=the time from infection to the first signs|a vector=an animal that carries a disease|
quarantine=keeping people apart to stop a disease|an envelope=the outer fat layer of some viruses|
a retrovirus=a virus that copies its RNA into DNA|immunity=protection against an infection"""

VIRUS_SPREAD = """influenza=coughs and sneezes|HIV=blood and sex|rabies=the bite of an animal|
yellow fever=the bite of a mosquito|hepatitis A=dirty food and water|chickenpox=touch and the air"""

BODY = """the ovaries=make eggs|the testes=make sperm|the uterus=where a baby grows before birth|
the placenta=feeds the unborn baby|estrogen=a hormone made mainly by the ovaries|
testosterone=a hormone made mainly by the testes|puberty=the time when a child's body becomes adult|
a condom=a barrier that protects against infections during sex|the pill=a hormone tablet that prevents pregnancy|
consent=a free and clear agreement|menopause=the end of monthly periods in later life|
fertilization=the joining of egg and sperm|a gynecologist=a doctor for women's sexual health|
ovulation=the release of an egg|sex education=lessons about bodies and relationships|
a suicide prevention line=a phone number for people in a crisis|celibacy=living without sex|
monogamy=having one partner at a time|jealousy=fear of losing a partner|
gender identity=a person's own sense of gender"""

_TERM_FORWARD = ["What is {k}?", "Which of these best describes {k}?", "{K} is best described as",
                 "Which statement about {k} is right?"]
_TERM_BACKWARD = ["Which of these fits the description: {v}?", "What is meant by: {v}?",
                  "Which term belongs to this description: {v}?", "Which one is this: {v}?"]


def _pairs(text):
    return [tuple(item.strip().split("=")) for item in text.split("|")]


RELATIONS = {
    "high_school_geography": [
        (["What is the capital of {k}?", "Which city is the capital of {k}?", "The capital city of {k} is"],
         ["{v} is the capital of which country?", "Which country has {v} as its capital?"], _pairs(CAPITALS)),
        (["On which continent is {k}?", "{K} is a country in", "To which continent does {k} belong?"],
         ["Which of these countries is in {v}?", "Which country lies in {v}?"], _pairs(CONTINENTS)),
        (_TERM_FORWARD, _TERM_BACKWARD, _pairs(LANDFORMS)),
        (["In which country is {k}?", "{K} is a river in"],
         ["Which river is in {v}?", "Which of these rivers flows in {v}?"], _pairs(RIVERS)),
    ],
    "computer_security": [
        (_TERM_FORWARD, _TERM_BACKWARD, _pairs(SECURITY)),
        (["What does {k} mean?", "The goal called {k} means that"],
         ["Which security goal means that {v}?", "Which goal is this: {v}?"], _pairs(SECURITY_GOALS)),
    ],
    "virology": [
        (["What causes {k}?", "{K} is caused by"],
         ["Which of these is caused by {v}?", "Which disease comes from {v}?"], _pairs(VIRUSES)),
        (_TERM_FORWARD, _TERM_BACKWARD, _pairs(VIRUS_TERMS)),
        (["How does {k} mainly spread?", "{K} spreads mainly through"],
         ["Which disease spreads mainly through {v}?"], _pairs(VIRUS_SPREAD)),
    ],
    "human_sexuality": [(_TERM_FORWARD, _TERM_BACKWARD, _pairs(BODY))],
}
