"""Many replies and what they say: a line each, `reply|answer`, line ends written as \\n."""

# ruff: noqa: E501 (a reply a line)

ENGLISH_OPTIONS = ("Oslo", "Rome", "The man", "Cairo")
CHINESE_OPTIONS = ("头痛", "咳嗽", "发热", "头痛、发热", "以上都是")

ENGLISH = r"""
B|B
b.|B
(B)|B
**B**|B
$\boxed{B}$|B
\boxed{\text{B}}|B
B. Rome|B
B) because A is cheap|B
The answer is B|B
the answer is b|B
The answer is:\nC|C
The correct option is: **B**|B
I think (B) is right|B
choose C because it rains|C
A. x\nB. y\nAnswer: B|B
A, C|AC
CA|AC
A and C|AC
(A) and (C)|AC
Answer: **A**, **C**|AC
The answer is B. Do not choose A.|B
The answer is B (not option A).|B
The answers are (A), (C) and (D)|ACD
Answer: C\nA. foo is wrong|C
B\n\nExplanation: the text says so.|B
C is correct|C
Ashton (B)|B
**Answer:** B|B
It is B.|B
B is the correct answer.|B
Rome|B
Rome.|B
"Rome"|B
**Rome**|B
A+C|AC
Option B|B
(B) Rome|B
B) Rome|B
The answer is B because A is wrong|B
Not A. B.|B
A is wrong; C is right|C
I would choose option C over A|C
between A and B, B|B
Between A and C, C.|C
A. Oslo: too far.\nB. Rome: fits.\nC. The man: no.\nD. Cairo: no.\nTherefore, B.|B
Let me weigh every option.\nA. Oslo is in Norway\nB. Rome is in Italy\nC. The man is unclear\nD. Cairo is in Egypt\nTherefore, D.|D
The answer is A. Wait, actually C|C
The answer is A.\n\nWait, that's not right. It should be C.|C
b|B
b)|B
{"answer": "B"}|B
```json\n{"reasoning": "A is wrong", "answer": "B"}\n```|B
<answer>B</answer>|B
I will put it between <answer> and </answer> tags. <answer>C</answer>|C
<answer>A</answer> Hmm. <answer>C</answer>|C
let me see</think>B|B
vitamin C|
A man|
A man who came|
Plan B|
The answer is a man|
Washington D.C.|
Dr. A. Smith|
I am|
Grade A beef|
None of the above|
The answer is not B|
Not (A)|
Choose a card|
Is it A?|
The cat|
Definitely nothing|
The answer is Rome.|B
The correct answer is Rome because it says so|B
The correct answer is option B: Rome|B
Answer: B. Rome\nExplanation: A. Oslo is wrong|B
I'd go with B.|B
My answer: B|B
So the answer must be (D).|D
Final Answer: B|B
### Final Answer\n**B**|B
The best choice would be D, Cairo.|D
A: wrong\nB: correct\nC: wrong\nD: wrong|B
A. Oslo ✗\nB. Rome ✓\nC. The man ✗\nD. Cairo ✗|B
A. Oslo - Incorrect\nB. Rome - Correct\nC. The man - Incorrect\nD. Cairo - Incorrect|B
A and B are wrong. C is the answer.|C
A is incorrect. B is incorrect. D is incorrect. So C.|C
C, not A|C
C rather than A|C
The answer is neither A nor B; it is C.|C
It can't be A or B, so it's C.|C
Since A, B and D can be eliminated, the answer is C.|C
I was thinking A, but it's B|B
I initially thought A but B is correct.|B
The answer to question 3 is B|B
The answer, in my opinion, is B.|B
Answer - B|B
Answer B|B
Answer = B|B
ANSWER: (B) Rome|B
Choice B|B
I choose B|B
[B]|B
"B"|B
`B`|B
B is my answer|B
B!|B
A. Oslo\nC. The man|AC
A. Oslo C. The man|AC
Oslo, Cairo|AD
Oslo\nCairo|AD
Oslo and Cairo|AD
- Oslo\n- Cairo|AD
The correct answers are:\n- A. Oslo\n- D. Cairo|AD
The correct answers are A (Oslo) and D (Cairo).|AD
Both A and C are correct.|AC
A and C|AC
A/C|AC
A & C|AC
A; C|AC
A C|AC
Answers: A, C, D|ACD
The answer is both A and D.|AD
Only B is correct.|B
B seems right|B
Yes, B.|B
Hmm, the text says Rome. So B.|B
We can rule out A and C. Between B and D, the text supports D. D.|D
<b>B</b>|B
Ｂ|B
ｂ|B
（Ｂ）|B
Answer: b|B
answer: b) Rome|B
The capital of Italy is Rome.|B
The final answer is $\boxed{\mathrm{(C)}}$.|C
\boxed{A, C}|AC
\boxed{AC}|AC
\boxed{Rome}|B
If A were right, Oslo would be named. The answer is D.|D
The answer is B, not A.|B
The answer isn't A; it's D.|D
B. The text says that A man came.|B
B - the passage says so|B
B: Rome|B
B, because the text says so. A is a distractor.|B
B because C is wrong|B
Correct answer: B) Rome. A) Oslo is incorrect because.. C) no D) no|B
Looking at A: it is wrong.\nLooking at B: this is right.\n\nThe answer: **B. Rome**|B
This leaves B.|B
which leaves us with option D|D
I'm torn between A and C, but I'll say C.|C
My final choice is option (d).|D
**Correct Answer: D**|D
The answer is (B) Rome.|B
The correct option is B, which says Rome. Option A says Oslo, which is wrong.|B
Option A is about Oslo. Option B is about Rome, which fits the text. Thus option B is the best answer.|B
Option B is correct. Option A is incorrect.|B
A) is wrong, B) is right|B
I believe the answer is probably D.|D
D.\n|D
The answer: D. Cairo.|D
Answer:\n\nB|B
Answer:\n\n**B. Rome**|B
B\nB|B
Sure! The answer is B.|B
I don't know|
A good question. The answer is D|D
The right answer would be C|C
Select B|B
Selected option: B|B
Therefore the correct answer is: B.|B
Hence, option B is correct.|B
Thus, the answer is 'B'.|B
It must be B, since A is impossible|B
It's B|B
it is b|B
"""

CHINESE = r"""
【B】|B
選 B|B
选B|B
答案：B|B
故选：ABD。|ABD
正确答案是 A、C|AC
答案是A|A
正确答案：ABD|ABD
故选C。|C
C选项|C
选项B正确|B
Ａ|A
答案是B。解析：选项A错误|B
选B，不选A|B
A选项错误，B选项正确|B
【答案】B|B
答案：(A)(C)|AC
A. 头痛 C. 发热|AC
头痛，咳嗽|AB
头痛、发热|D
头痛|A
头痛。|A
“咳嗽”|B
答案是咳嗽。|B
正确答案：B. 咳嗽|B
正确答案：A. 头痛；C. 发热|AC
因此，B。|B
所以选C|C
综上所述，正确答案为C。|C
综上，选C。|C
本题选D|D
应选B|B
我认为是B|B
答案为B、C、E|BCE
B、C、E|BCE
BCE|BCE
B,C,E|BCE
B和C|BC
A项正确|A
A、C正确|AC
A、C正确，B、D错误|AC
A对，B错|A
正确的是A|A
答案是B，不是A|B
不是A，是B|B
不选A。选B。|B
排除A、B、C，故选D。|D
A错误。B错误。C正确。D错误。|C
A. 头痛：错误\nB. 咳嗽：正确\nC. 发热：错误\nD. 头痛、发热：错误\nE. 以上都是：错误|B
逐项分析：\nA. 头痛：不符合题意\nB. 咳嗽：不符合题意\nC. 发热：符合\nD. 头痛、发热：不符\nE. 以上都是：不符\n因此，E。|E
等等，应该是C|C
答案是A。等等，应该是C。|C
答案是A。不对，应为C。|C
更正：C|C
答案:b|B
答：B|B
答案是（B）|B
正確答案是B|B
選項B|B
维生素C|
A型血|
B超检查|
以上都不对|
不选A|
答案不是A|
符合题意的是C|C
最可能的是C|C
正确答案应该是选项C|C
正确选项为：C|C
答案选B|B
故答案为B。|B
故本题答案选B|B
故正确答案为ABC|ABC
此题答案：A、B、C。|ABC
解析：头痛常见，故A正确；咳嗽不常见，B错误；C正确。|AC
解析：A不对，B不对。答案：C|C
头痛和咳嗽|AB
答案：头痛、咳嗽|AB
答案：\nA. 头痛\nB. 咳嗽|AB
A.头痛\nC.发热|AC
A、头痛\nC、发热|AC
我选择B选项，因为A不对|B
选择 B|B
B是正确答案|B
B为正确答案。|B
B是对的|B
由此可见，B符合题意|B
A B C|ABC
ＡＢＣ|ABC
A，B，C|ABC
第B项|B
最终答案：\boxed{B}|B
"""

ASKS_FOR_WRONG = r"""
描述错误的是A|A
A错误|A
A正确，B错误，C正确，D正确|B
因此，错误的是B。|B
答案是B|B
B选项错误，故选B|B
A. 头痛：正确\nB. 咳嗽：错误\nC. 发热：正确\nD. 腹痛：正确|B
"""

NUMBERS = r"""
3|3
３|3
3个|3
−3|-3
-3|-3
3km|3
3 km|3
$1,234.50|1234.50
1,234|1234
1.234,5|1234.5
3/4|3/4
50%|50
50 percent|50
about 3|3
three|3
Three.|3
three touchdowns|3
twenty-five|25
one hundred and five|105
3 and not 4|3
The answer is 3.|3
2 + 3 = 5|5
=5|5
= 5|5
**3**|3
**Answer:** 3|3
Answer: **3**|3
三|3
十二|12
三个|3
两百|200
一千二百三十四|1234
3万|30000
3 million|3000000
1.5|1.5
.5|0.5
There were 3 touchdowns in 2 games. So the answer is 6.|6
There are 3 dogs and 4 cats, so 7 in total|7
\boxed{42}|42
$\boxed{\text{42}}$|42
The answer is \(42\).|42
<answer>7</answer>|7
{"answer": 7}|7
{"answer": "7"}|7
42.|42
42 years old|42
答案是3|3
答案：三。|3
一共有3个苹果|3
3 × 4 = 12 km|12
5 - 2 = 3|3
#### 18|18
1990|1990
in 1990|1990
3rd|3rd
1990s|1990s
March 3, 1990|March 3, 1990
3-5|3-5
3 to 5|3 to 5
Tom Brady|Tom Brady
The answer is Tom Brady.|Tom Brady
3.|3
+3|3
-1,200|-1200
3\n\nExplanation: 5 minus 2.|3
First, 5 games. Then 2 games.\n3|3
They won 5 of 8 games. 5 - 2 = 3. Therefore, the difference is 3.|3
3 (three)|3
three (3)|3
minus three|-3
负三|-3
负3|-3
3：解释|3
第3|3
COVID-19|COVID-19
B12|B12
€5|5
5°C|5
5kg|5
12 000|12000
1,234,567|1234567
1e3|1e3
10 - 7|10 - 7
The total is 7 yards, since 10 - 3 = 7.|7
Wait, actually 4|4
The answer is 3. Wait, actually 4.|4
zero|0
零|0
二〇二四|2024
三点五|3.5
百分之五十|百分之五十
3 hours|3
about three|3
at least 3|3
Q: 3|3
It is 3|3
3\n4|4
"""

PHRASES = r"""
Paris|Paris
Paris.|Paris
The answer is Paris.|Paris
Answer: Paris|Paris
**Paris**|Paris
"Paris"|Paris
“Paris.”|Paris
答案是北京|北京
答案：北京。|北京
北京。|北京
Washington D.C.|Washington D.C.
The answer is Washington D.C.|Washington D.C.
U.S.|U.S.
Oslo\nbecause|Oslo\nbecause
Paris is the answer.|Paris
Final Answer: Paris|Paris
**Answer:** Paris|Paris
**Answer**: Paris|Paris
### Answer\nParis|### Answer\nParis
Let me think. The text says X.\nAnswer: Paris|Paris
Answer:\nParis|Paris
Paris\n\nExplanation: It is the capital.|Paris
\boxed{\text{Paris}}|Paris
The answer to the question is Paris.|Paris
The answer is "Paris".|Paris
The correct answer is: Paris|Paris
{"answer": "Paris"}|Paris
It was recorded in 1990|It was recorded in 1990
J. R. R. Tolkien|J. R. R. Tolkien
Rock 'n' Roll|Rock 'n' Roll
The answer is not given|The answer is not given
A: Paris|Paris
答：北京|北京
正确答案为北京。|北京
So the answer is Paris, France.|Paris, France
Paris!|Paris!
I think so. The answer is Paris|Paris
Apple Inc.|Apple Inc.
"The Answer"|The Answer
CANNOTANSWER|CANNOTANSWER
no answer|no answer
<think>a</think>Paris|Paris
a </think> Paris|Paris
<think>a|
<answer>Paris|Paris
<answer>a</answer><answer>b</answer>|b
I'd write <answer>...</answer>: <answer>Paris</answer>|Paris
<answer>Paris</answer> between <answer> and </answer> tags|Paris
"Yes" and "No"|"Yes" and "No"
x = 5|x = 5
The Answer is Blowing|Blowing
"""


def replies(table: str) -> list[tuple[str, str]]:
    """The replies of a table, each with its answer."""
    pairs = (line.rpartition("|") for line in table.strip().splitlines())
    return [(reply.replace("\\n", "\n"), answer.replace("\\n", "\n")) for reply, _, answer in pairs]
