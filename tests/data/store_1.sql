PRAGMA application_id=1128689513;
PRAGMA user_version=1;
BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'counterfoil','m001_initial','2026-11-22 23:11:29.717405+00:00');
CREATE TABLE borrowed(step_id TEXT NOT NULL, direction INTEGER NOT NULL, position INTEGER NOT NULL,
      payload_id INTEGER, PRIMARY KEY(step_id, direction, position)) WITHOUT ROWID;
CREATE TABLE copies(source_id INTEGER NOT NULL, source_seq INTEGER NOT NULL, seq INTEGER NOT NULL,
      chain BLOB NOT NULL, before BLOB, leaf BLOB, PRIMARY KEY(source_id, source_seq)) WITHOUT ROWID;
CREATE TABLE event_payloads(seq INTEGER NOT NULL, slot INTEGER NOT NULL, payload_id INTEGER NOT NULL,
      salt BLOB NOT NULL, PRIMARY KEY(seq, slot)) WITHOUT ROWID;
INSERT INTO "event_payloads" VALUES(1,0,1,X'74545F17C826446AC2090BF84EA75A56');
INSERT INTO "event_payloads" VALUES(2,0,2,X'D68A6C8241AADAE08EC2A54FCD23D8BC');
INSERT INTO "event_payloads" VALUES(3,0,3,X'1F59B22A822BB882F461EDF533B797D0');
INSERT INTO "event_payloads" VALUES(4,0,4,X'1BDCB6A928BAA571D9B176E3D5EF8AEC');
INSERT INTO "event_payloads" VALUES(4,1,5,X'25B0BE44AA07EC45AC7A443BF94E4004');
INSERT INTO "event_payloads" VALUES(4,2,6,X'AF1B3578CB22B454E59F54D4D74853FC');
INSERT INTO "event_payloads" VALUES(5,0,7,X'59D3F0D657427E2D2274CC475EB11566');
INSERT INTO "event_payloads" VALUES(5,1,8,X'19519CF5FC95C930146EA50ABAD8F51C');
INSERT INTO "event_payloads" VALUES(6,0,9,X'E597D2CBBE930C76048A8227BCA326D0');
INSERT INTO "event_payloads" VALUES(6,1,10,X'795D61ECEEFB16437BDD88B734DBC8B0');
INSERT INTO "event_payloads" VALUES(7,0,11,X'5B4BD5196F21E552A057C08C20AD4CC7');
INSERT INTO "event_payloads" VALUES(7,1,12,X'27F91FE62D0A91577CF5E4E762825CBB');
INSERT INTO "event_payloads" VALUES(8,0,13,X'1E4A1CEFBC9EDD2C2F2684959519E33D');
INSERT INTO "event_payloads" VALUES(9,0,14,X'A82185BE88959D088606D719757613FF');
INSERT INTO "event_payloads" VALUES(10,0,15,X'D9EBC919E79719C44FC65885BEF91F05');
INSERT INTO "event_payloads" VALUES(11,0,16,X'4B1BC2695097325108DE0DA5329588A4');
INSERT INTO "event_payloads" VALUES(12,0,17,X'C58B6B990EB0D084A47D58F93881453F');
INSERT INTO "event_payloads" VALUES(13,0,18,X'85891EB742D068C6CC92EDFE9F06E226');
INSERT INTO "event_payloads" VALUES(13,1,19,X'AFA718D5CF4E70A428946C6F4521CDFC');
INSERT INTO "event_payloads" VALUES(14,0,20,X'67B77B27F84F3B3DA75C6443E67ABFCF');
INSERT INTO "event_payloads" VALUES(16,0,21,X'8CD86B81C831D9FBDC057C1C27C6EA9F');
INSERT INTO "event_payloads" VALUES(18,0,22,X'F73CFCEBFB5D70ED9BCFECB1E3CE9336');
INSERT INTO "event_payloads" VALUES(19,0,23,X'D786B4DC5C1F3E4A295A1F93DC55989D');
INSERT INTO "event_payloads" VALUES(20,0,24,X'37D44B9942CA7E8C7077D4BCEB3D09B5');
INSERT INTO "event_payloads" VALUES(21,0,25,X'5391F18819D3A237B6E49FA4B3ABE554');
INSERT INTO "event_payloads" VALUES(23,0,26,X'83F2167A9D53CE57463464ED76EC1F27');
INSERT INTO "event_payloads" VALUES(24,0,27,X'C10842518B31D3079821226D8D4697EC');
INSERT INTO "event_payloads" VALUES(26,0,28,X'8F4733632B1E1A66C321A29D2D810356');
CREATE TABLE events(seq INTEGER PRIMARY KEY AUTOINCREMENT, tape_id INTEGER, offset INTEGER, head TEXT NOT NULL,
      commitments BLOB, chain BLOB NOT NULL,
      kind TEXT AS (json_extract(head, '$.k')) VIRTUAL, t_ns INTEGER AS (json_extract(head, '$.t')) VIRTUAL,
      run_id TEXT AS (json_extract(head, '$.run')) VIRTUAL, step_id TEXT AS (json_extract(head, '$.step')) VIRTUAL);
INSERT INTO "events" VALUES(1,1,0,'{"k":"open","t":1700000000000000000,"q":1,"parts":["text"],"format":1,"pid":3573,"segment":1}',X'7514F983823E28CD90F3EB67C8A59A9C03B2F512F49E26E8E8F0A5DAD2D41EC5',X'03D78E38A9F4FADAFF7854EA7E8BC276D36A13D4BBF0B6818985AE42C2489112');
INSERT INTO "events" VALUES(2,1,216,'{"k":"start","t":1700000000000000000,"q":2,"run":"00000000000000000000000000000001","step":"0000000000000001","kind":"workflow","evidence":"native","parts":["text"]}',X'070E1A43DC04CCD4282E2CA6D844AFA8D569584D627D2F076338FC9196AFF0AD',X'AEB0E8EAEBEB601B54B106ABA83A3C7BE5ECD5F67CA4258D7591067336B28762');
INSERT INTO "events" VALUES(3,1,474,'{"k":"start","t":1700000000000000001,"q":3,"run":"00000000000000000000000000000001","step":"0000000000000002","parent":"0000000000000001","kind":"agent","evidence":"native","parts":["text"]}',X'94548659795181905E63176C8965CBD4C457670D58DB505D0B75BB2069302CC2',X'17C4B4A7838FFE062C7CD4130F55EA6A7B09AB745A4863E320F6654B515CF7AA');
INSERT INTO "events" VALUES(4,1,753,'{"k":"start","t":1700000000000000002,"q":4,"run":"00000000000000000000000000000001","step":"0000000000000003","parent":"0000000000000002","kind":"llm","evidence":"native","parts":["text","m1","m2"],"refs":[1,2]}',X'ECB7ACB5C886C91B84FAA5DB3AEC719976BAAB9063F40A5910FA9B0C18AEAEDE474D23E2F3B070A2A37071CB59626180FAAAAC1B476FC7A10F7FBC1609CF6CCBCF31EDF5B38574BA59194EA6DC66772C0F207B1B6609C993037402316BA6F351',X'87CB502FBDF8926685B5AC509BA97A0968DFA66DFF4EE393A01201B7104EA0F5');
INSERT INTO "events" VALUES(5,1,1147,'{"k":"end","t":1700000000000000003,"q":5,"run":"00000000000000000000000000000001","step":"0000000000000003","status":"ok","parts":["text","m3"],"refs":[3],"input_tokens":90,"output_tokens":9,"cost_nano":1000}',X'1066D584170DD1FDEA6F272FE0A59699527D0385468DFA10BD93288792841132C5078A5FC9AC66568D0F66CE59DE6299A6F18F27565C21AC28966A65ADA730AD',X'AB10BEDD0A23A42C74CF0F3FE5C959A86FA9358A3E98645C1709AFEEC6E50D95');
INSERT INTO "events" VALUES(6,1,1491,'{"k":"start","t":1700000000000000004,"q":6,"run":"00000000000000000000000000000001","step":"0000000000000004","parent":"0000000000000002","kind":"tool","evidence":"native","parts":["text","input"],"decided":"0000000000000003"}',X'22B8D38431AE53925133C151A68ACCD6C5E12671E7694A91228E522FBAD5C6BCDCB3816BE20505394B6E4ABE1C8B809AABF1597AA52F576067D3B7FD13D4CAF6',X'A870A3A8ED3B5DF8E336C1EAC717318B1627E5793199079C16253DF92C6C379A');
INSERT INTO "events" VALUES(7,1,1784,'{"k":"access","t":1700000000000000005,"q":7,"run":"00000000000000000000000000000001","step":"0000000000000004","parts":["text","items"]}',X'B0C0C7DA3DE6568C04229AA95D1D2A9A76DA564CB292445AB820260A0BC3DACD4B09CC5C8DD43F6B1CB21136AB165B92E5C927AE1BCE105BE5C716C815807A56',X'07C55AA209BFD85D7B1802E7A38EAE10BBACF9E34A793FF96C920026B235CD32');
INSERT INTO "events" VALUES(8,1,1986,'{"k":"end","t":1700000000000000006,"q":8,"run":"00000000000000000000000000000001","step":"0000000000000004","status":"error","parts":["text"]}',X'62F0195D3513F2790B11C98BF9926FA447404646E0B15EF3975E8A8254D34423',X'C2BD9C9D1E3D969C09FC69DA7B6BF6CBDADF331E321F2088E8E36CEB58E31F17');
INSERT INTO "events" VALUES(9,1,2190,'{"k":"decision","t":1700000000000000007,"q":9,"run":"00000000000000000000000000000001","step":"0000000000000004","parts":["text"],"item":"dddddddddddddddd","verdict":"allow"}',X'4DCD5AFAF8F09C96100C1D30A7751024BD39E5001A538689784AE876F22E2F06',X'215B0451A36ADF7AF57358D0C4BCE5C8A218FBC5D8949D48280EA4A8591268FA');
INSERT INTO "events" VALUES(10,1,2399,'{"k":"handoff","t":1700000000000000008,"q":10,"run":"00000000000000000000000000000001","step":"0000000000000002","status":"requested","evidence":"native","parts":["text"],"handoff":"eeeeeeeeeeeeeeee","mode":"transfer","target_type":"agent"}',X'22E69F4F338F453294E292180E652C6F6D1CD1650622A29A6B347C942D2F351E',X'5530125D8DDF4C0C91B0F271074ECDD7A7186FB00D161FACF27D14C639E41FC0');
INSERT INTO "events" VALUES(11,1,2704,'{"k":"score","t":1700000000000000009,"q":11,"run":"00000000000000000000000000000001","parts":["text"],"value":0.9}',X'489FE8392E1E06D4632759D09A69311A2BBDA987FB5D3F7568FF587A0092250D',X'3C07D8CF534AD8B217D3848D61DBB1337B6895009EB0A5377BE058600ECE80DF');
INSERT INTO "events" VALUES(12,1,2838,'{"k":"start","t":1700000000000000010,"q":12,"run":"00000000000000000000000000000001","step":"0000000000000005","parent":"0000000000000001","kind":"human","evidence":"native","parts":["text"]}',X'415552F1694BEA62D775FBDFC1F5E564A662F3DF560311B10C68D0AF8490CE24',X'F665728F4A707337E1F9F357B779225B329BB922359777293FE78A4D3AA5BCE8');
INSERT INTO "events" VALUES(13,1,3087,'{"k":"approval","t":1700000000000000011,"q":13,"run":"00000000000000000000000000000001","step":"0000000000000005","status":"waiting","parts":["text","payload"],"item":"ffffffffffffffff"}',X'142A8E342E3317E34C6730A1CE6F6199BFB968E511CA728D4CEC06CBC793091B7B2B5EB7F09B60FCD261DD6C38520CA81104138D61E3C624198A1B075BD0390C',X'75F34692D9B89C77B84C66D9D0CF4B9DAD7F796CF2BC2826999FC187CE7F619E');
INSERT INTO "events" VALUES(14,1,3305,'{"k":"end","t":1700000000000000012,"q":14,"run":"00000000000000000000000000000001","step":"0000000000000002","status":"ok","parts":["output"]}',X'4B02DD9FCD2E70ACD8BCDC13A9878886778D1C9259B495F25169102EE5CD5204',X'855920C8D9F5AE9F7039C024AF627E4D41DE5EC5B0FA6FCDD7BFE2D17CF5D054');
INSERT INTO "events" VALUES(15,1,3461,'{"k":"end","t":1700000000000000013,"q":15,"run":"00000000000000000000000000000001","step":"0000000000000001","status":"waiting"}',NULL,X'DF4C1FCE9B92A96CC88D4EDEADD69394A2DDF3EDA72E407DDCE7A1B8B91CA813');
INSERT INTO "events" VALUES(16,1,3590,'{"k":"trouble","t":1700000000000000014,"q":16,"parts":["text"],"count":2}',X'2CF51C6893A13712D41FF9A04569A8CEDDEBA9C2B845DF10A16E8EAC3F6B6048',X'E3C0321E823C7D7B155B2C38F28B8EAE9C5080C1BAA1EE4C38195B65A7758C05');
INSERT INTO "events" VALUES(17,1,3738,'{"k":"exit","t":1700000000000000015,"q":17}',NULL,X'F66D4C5D8F8FA39CDBFC4D5E828A165B55B7CFDB492470F445B09F7D03FDFD4A');
INSERT INTO "events" VALUES(18,2,0,'{"k":"open","t":1700000000000000000,"q":1,"parts":["text"],"format":1,"pid":3573,"segment":1}',X'39C3081CAF029117504A0EE410823F24D947D64A7EDE78B9D8ECC9364525FB03',X'320E7A655D8822927E13A01453B21C743490033D3888739AD5E142E1248394EB');
INSERT INTO "events" VALUES(19,2,216,'{"k":"start","t":1700000001000000000,"q":2,"run":"00000000000000000000000000000002","step":"0000000000000006","kind":"workflow","evidence":"native","parts":["text"],"resuming":true}',X'FFE119EEC48E6ABB2C17C2DF7AB433E971E29AE1DB82763F11A6634CD2470887',X'F4047EA78DB136996FA501417BE841E14F28B09744B78934DC73A2DFE663BE02');
INSERT INTO "events" VALUES(20,2,449,'{"k":"answer","t":1700000001000000001,"q":3,"run":"00000000000000000000000000000002","parts":["answer"]}',X'5778E04F4ABBCED3DC4491BAEC746FA842CE7096E14421883DBDB91CBCB97538',X'795F38AC2F7B1404193819B790889FFF61DD707D41C6AB012C5E41D6DDC2D046');
INSERT INTO "events" VALUES(21,2,602,'{"k":"end","t":1700000001000000002,"q":4,"run":"00000000000000000000000000000002","step":"0000000000000006","status":"ok","parts":["output"]}',X'E3FB8A1E431F426935642B3C9442E7F7B8837209D14BD83A151F0ADF32771F67',X'3ADC97F1BD4EF8646AFF1BADF8D50864BDC7502735FAF1798B51EA8ECB2DA75F');
INSERT INTO "events" VALUES(22,2,755,'{"k":"exit","t":1700000001000000003,"q":5}',NULL,X'3A1AF334B908BB7ABD0C91CD84FB57AC4D53FF62D4CB18A045CE2E0F38273ED5');
INSERT INTO "events" VALUES(23,3,0,'{"k":"open","t":1700000000000000000,"q":1,"parts":["text"],"format":1,"pid":3573,"segment":1}',X'66D1D0D8034EB36BB6EF520C84AA66AFA23885CF70C36773300437CF5D064996',X'020C58AC76113878F5E9FE17CAAF8043840F6EE079F660C38F9E52603F643512');
INSERT INTO "events" VALUES(24,3,216,'{"k":"start","t":1700000002000000000,"q":2,"run":"00000000000000000000000000000003","step":"0000000000000007","kind":"agent","evidence":"native","parts":["text"]}',X'7B281ACC2386309A93FCEE41A6FD0B6D432E026709D8D3AE6293259C3A462468',X'D33517116C073849DD31BF5285A4E5995C4D3B0D4DC42B4890155FD1830D9F4A');
INSERT INTO "events" VALUES(25,NULL,NULL,'{"k":"resume","t":1700000001000000000,"q":0,"run":"00000000000000000000000000000002","resumes":"00000000000000000000000000000001","first_run":"00000000000000000000000000000001"}',NULL,X'74B36B68BB2E4CEBA89799B9FACF681E747D73D88CA73BDF59B406006D80B412');
INSERT INTO "events" VALUES(26,NULL,NULL,'{"k":"end","t":1700000001000000001,"q":3,"run":"00000000000000000000000000000001","step":"0000000000000005","status":"ok","parts":["output"]}',X'7DB123CF6414CFE60E30B820C62B066F8BA583F85F3EDE4ADCF953C950A5EC83',X'F7ADA8C33A285AAE21D9CD08FD5DAF8AFBDF51ED5EA92C5B163D6DA445BB337A');
INSERT INTO "events" VALUES(27,NULL,NULL,'{"k":"approval","t":1700000001000000001,"q":3,"run":"00000000000000000000000000000001","step":"0000000000000005","status":"approved","item":"ffffffffffffffff"}',NULL,X'BC0A81BAB4DDF3C67785F6E2FD706FFAC5159921954A95BB8086F87DA45F5569');
INSERT INTO "events" VALUES(28,NULL,NULL,'{"k":"answer","t":1700000001000000001,"q":3,"run":"00000000000000000000000000000002"}',NULL,X'E6C4B909C7586DA54C249743AE99B5324F31AD8998FC2E97F2B2934B55AB0F70');
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT INTO "meta" VALUES('store_id','b44ab2bb4a7e3082ebd23e8596b55477');
INSERT INTO "meta" VALUES('store_key',X'CB6FA6BF86626C9C3DD8B0420D50D3097BFBEEEAF7192EB84FE769BE1CDF126D');
CREATE TABLE payloads(payload_id INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB NOT NULL UNIQUE, body TEXT NOT NULL);
INSERT INTO "payloads" VALUES(1,X'28366652CD7C1A1C90B49ED543926B9D','{"writer":"0000000000000001-3573-abcdef","host":"there","boot":"then","machine":"that","versions":{"counterfoil":"test"}}');
INSERT INTO "payloads" VALUES(2,X'DAD656974D0BFFDCF6ED17A382D19F40','{"name":"desk","framework":"python","task":"refund","session":"s","labels":{"tier":"gold"}}');
INSERT INTO "payloads" VALUES(3,X'BC21EFF8DA2B34620391139700AE152A','{"name":"triage","agent":"triage","framework":"python","version":"2","owner":"support"}');
INSERT INTO "payloads" VALUES(4,X'52BA7A31149213B72E3EAAF174FB9B9C','{"name":"chat","agent":"triage","framework":"python"}');
INSERT INTO "payloads" VALUES(5,X'D02B527823CDA887F5FB35FB66F78BEF','{"role":"system","parts":[{"type":"text","content":"Be brief."}]}');
INSERT INTO "payloads" VALUES(6,X'731444D5A5F059C85514E72DF321CB10','{"role":"user","parts":[{"type":"text","content":"Refund?"}]}');
INSERT INTO "payloads" VALUES(7,X'E6E9B7638058B0A68276231184637D98','{"provider":"openai","model":"gpt-4.1-mini","price_source":"the test"}');
INSERT INTO "payloads" VALUES(8,X'73D89D6B938D3DB7999B2866399841C2','{"role":"assistant","parts":[{"type":"text","content":"Yes."}]}');
INSERT INTO "payloads" VALUES(9,X'F9C809F418D5B43A2F0A813BBA5AABDF','{"name":"look_up","agent":"triage","framework":"python"}');
INSERT INTO "payloads" VALUES(10,X'77140A54976BDBD44E808BA9AAE7F222','{"id":7}');
INSERT INTO "payloads" VALUES(11,X'DC257BBBB3DBF90FF54C7EE2A66412C9','{"source":"kb","query":"refunds"}');
INSERT INTO "payloads" VALUES(12,X'F5971CD9FCD4A5843BE595616A665129','[{"item_id":"d1","score":0.5}]');
INSERT INTO "payloads" VALUES(13,X'6B29D100179FCDE98D9EF3D2402BF58A','{"error_type":"LookupError","error_message":"no customer 7"}');
INSERT INTO "payloads" VALUES(14,X'DD8399B425F80983AB601E1DCC1E3B4A','{"action":"look_up","rule":"all"}');
INSERT INTO "payloads" VALUES(15,X'B65DA1CCD666FCB1F03C9E60C6878FF1','{"source":"triage","target":"billing","reason":"charged twice"}');
INSERT INTO "payloads" VALUES(16,X'AE146318073E6CE3EA6DE698B7A43374','{"name":"helpful"}');
INSERT INTO "payloads" VALUES(17,X'4ADF670B14567D1EC257CA7B4491304E','{"name":"approve","framework":"python","native_id":"q1"}');
INSERT INTO "payloads" VALUES(18,X'BED0B9559954479A4A7118DA0100FF88','{"name":"refund"}');
INSERT INTO "payloads" VALUES(19,X'F3F9ABF13A7967B0D39A8FA857DB5EE1','{"amount":5}');
INSERT INTO "payloads" VALUES(20,X'DB56CF1425475DEE84CADD201E2FA50C','"to billing"');
INSERT INTO "payloads" VALUES(21,X'B8F59483C61204EA7BF91FA07AC4933F','{"error_type":"ValueError","error_message":"our own","place":"somewhere"}');
INSERT INTO "payloads" VALUES(22,X'F106295F88E3EB14A93A74C9F43AB031','{"writer":"0000000000000002-3573-abcdef","host":"there","boot":"then","machine":"that","versions":{"counterfoil":"test"}}');
INSERT INTO "payloads" VALUES(23,X'066CE86892E4769B1CF1EFD61437ED3C','{"name":"desk","framework":"python","session":"s"}');
INSERT INTO "payloads" VALUES(24,X'F86F2E8EF1C34EA4BB38B5BF0DFEEE85','[{"id":"q1","value":"yes","status":"approved"}]');
INSERT INTO "payloads" VALUES(25,X'1F40176F3CBD63637CE481BBCB8451A4','"refunded"');
INSERT INTO "payloads" VALUES(26,X'C03230663EE2C296545A8D00D0A70034','{"writer":"0000000000000003-3573-abcdef","host":"there","boot":"then","machine":"that","versions":{"counterfoil":"test"}}');
INSERT INTO "payloads" VALUES(27,X'29184BFFEAE8BD69D9C7A33D0591E245','{"name":"doomed","agent":"doomed","framework":"python"}');
INSERT INTO "payloads" VALUES(28,X'D0FE6E6E150A438FB2BD05BF3819E76E','"yes"');
CREATE TABLE quarantine(tape_id INTEGER NOT NULL, offset INTEGER NOT NULL, at_ns INTEGER, reason TEXT, raw BLOB);
INSERT INTO "quarantine" VALUES(3,435,1795389089742026909,'the head is no event: JSON is malformed: invalid character (byte 4)',X'6E6F206576656E74');
CREATE TABLE refs(writer_id INTEGER NOT NULL, n INTEGER NOT NULL, payload_id INTEGER NOT NULL,
      PRIMARY KEY(writer_id, n)) WITHOUT ROWID;
INSERT INTO "refs" VALUES(1,1,5);
INSERT INTO "refs" VALUES(1,2,6);
INSERT INTO "refs" VALUES(1,3,8);
CREATE TABLE sources(source_id INTEGER PRIMARY KEY, store TEXT NOT NULL);
CREATE TABLE t_accesses(seq INTEGER NOT NULL, n INTEGER NOT NULL, run_id TEXT, step_id TEXT, agent TEXT,
      source TEXT, query TEXT, query_id INTEGER, item_id TEXT, score REAL, bytes INTEGER, at_ns INTEGER,
      PRIMARY KEY(seq, n)) WITHOUT ROWID;
INSERT INTO "t_accesses" VALUES(7,0,'00000000000000000000000000000001','0000000000000004',NULL,'kb','refunds',NULL,'d1',0.5,NULL,1700000000000000005);
CREATE TABLE t_answers(run_id TEXT NOT NULL, at_ns INTEGER NOT NULL, q INTEGER NOT NULL, payload_id INTEGER,
      applied INTEGER NOT NULL DEFAULT 0, PRIMARY KEY(run_id, at_ns, q)) WITHOUT ROWID;
INSERT INTO "t_answers" VALUES('00000000000000000000000000000002',1700000001000000001,3,24,1);
CREATE TABLE t_approvals(approval_id TEXT PRIMARY KEY, run_id TEXT, step_id TEXT, agent TEXT, tool TEXT,
      arguments_id INTEGER, status TEXT, asked_ns INTEGER, answered_ns INTEGER, answered_by TEXT, comment TEXT,
      stamps TEXT);
INSERT INTO "t_approvals" VALUES('ffffffffffffffff','00000000000000000000000000000001','0000000000000005',NULL,'refund',19,'approved',1700000000000000011,1700000001000000001,NULL,NULL,'{"answered_ns":[1700000001000000001,3],"arguments_id":[1700000000000000011,13],"run_id":[1700000001000000001,3],"status":[1700000001000000001,3],"step_id":[1700000001000000001,3],"tool":[1700000000000000011,13]}');
CREATE TABLE t_decisions(decision_id TEXT PRIMARY KEY, run_id TEXT, step_id TEXT, call_id TEXT, agent TEXT,
      action TEXT, resource TEXT, verdict TEXT, rule TEXT, reason TEXT, policy TEXT, policy_version TEXT,
      enforced INTEGER, at_ns INTEGER);
INSERT INTO "t_decisions" VALUES('dddddddddddddddd','00000000000000000000000000000001','0000000000000004',NULL,NULL,'look_up',NULL,'allow','all',NULL,NULL,NULL,NULL,1700000000000000007);
CREATE TABLE t_findings(finding_id TEXT PRIMARY KEY, run_id TEXT, step_id TEXT, detector TEXT, severity TEXT,
      summary TEXT, cost_nano INTEGER, at_ns INTEGER);
CREATE TABLE t_handoffs(handoff_id TEXT PRIMARY KEY, run_id TEXT, step_id TEXT, mode TEXT, source TEXT,
      target TEXT, target_asked TEXT, target_type TEXT, coordinator TEXT, reason TEXT, payload_id INTEGER,
      answer_id INTEGER, status TEXT, refused_by TEXT, error_message TEXT, evidence TEXT, decided_by TEXT,
      decided_evidence TEXT, target_step_id TEXT, framework TEXT, asked_ns INTEGER, requested_ns INTEGER,
      accepted_ns INTEGER, returned_ns INTEGER, stamps TEXT);
INSERT INTO "t_handoffs" VALUES('eeeeeeeeeeeeeeee','00000000000000000000000000000001','0000000000000002','transfer','triage','billing',NULL,'agent',NULL,'charged twice',NULL,NULL,'requested',NULL,NULL,'native',NULL,NULL,NULL,NULL,1700000000000000008,1700000000000000008,NULL,NULL,'{"evidence":[1700000000000000008,10],"mode":[1700000000000000008,10],"reason":[1700000000000000008,10],"run_id":[1700000000000000008,10],"source":[1700000000000000008,10],"status":[1700000000000000008,10],"step_id":[1700000000000000008,10],"target":[1700000000000000008,10],"target_type":[1700000000000000008,10]}');
CREATE TABLE t_messages(step_id TEXT NOT NULL, direction INTEGER NOT NULL, position INTEGER NOT NULL,
      payload_id INTEGER, PRIMARY KEY(step_id, direction, position)) WITHOUT ROWID;
INSERT INTO "t_messages" VALUES('0000000000000003',0,0,5);
INSERT INTO "t_messages" VALUES('0000000000000003',0,1,6);
INSERT INTO "t_messages" VALUES('0000000000000003',1,0,8);
CREATE TABLE t_processes(writer_id INTEGER PRIMARY KEY, pid INTEGER, host TEXT, boot TEXT, machine TEXT,
      versions TEXT, frameworks TEXT, started_ns INTEGER, last_ns INTEGER, exit_ns INTEGER, gone_ns INTEGER);
INSERT INTO "t_processes" VALUES(1,3573,'there','then','that','{"counterfoil":"test"}',NULL,1700000000000000000,1700000000000000015,1700000000000000015,NULL);
INSERT INTO "t_processes" VALUES(2,3573,'there','then','that','{"counterfoil":"test"}',NULL,1700000000000000000,1700000001000000003,1700000001000000003,NULL);
INSERT INTO "t_processes" VALUES(3,3573,'there','then','that','{"counterfoil":"test"}',NULL,1700000000000000000,1700000002000000000,NULL,NULL);
CREATE TABLE t_runs(run_id TEXT PRIMARY KEY, root_id TEXT, root_ns INTEGER, started_ns INTEGER, resumes TEXT,
      first_run_id TEXT, steps INTEGER, open_steps INTEGER, waiting INTEGER, llm_calls INTEGER, tool_calls INTEGER,
      errors INTEGER, input_tokens INTEGER, input_known INTEGER, output_tokens INTEGER, output_known INTEGER,
      cost_nano INTEGER, priced_calls INTEGER, unpriced_calls INTEGER, unknown_usage_calls INTEGER,
      human_wait_ns INTEGER, handoffs INTEGER, escalations INTEGER, agents TEXT, frameworks TEXT,
      unlinked INTEGER);
INSERT INTO "t_runs" VALUES('00000000000000000000000000000002','0000000000000006',1700000001000000000,1700000001000000000,'00000000000000000000000000000001','00000000000000000000000000000001',1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,NULL,'{"python":1}',NULL);
INSERT INTO "t_runs" VALUES('00000000000000000000000000000001','0000000000000001',1700000000000000000,1700000000000000000,NULL,'00000000000000000000000000000001',5,0,0,1,1,1,90,1,9,1,1000,1,0,0,999999991,1,0,'{"triage":3}','{"python":5}',NULL);
INSERT INTO "t_runs" VALUES('00000000000000000000000000000003','0000000000000007',1700000002000000000,1700000002000000000,NULL,'00000000000000000000000000000003',1,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,'{"doomed":1}','{"python":1}',NULL);
CREATE TABLE t_scores(seq INTEGER PRIMARY KEY, run_id TEXT, step_id TEXT, name TEXT, value REAL, label TEXT,
      source TEXT, comment TEXT, at_ns INTEGER);
INSERT INTO "t_scores" VALUES(11,'00000000000000000000000000000001',NULL,'helpful',0.9,NULL,NULL,NULL,1700000000000000009);
CREATE TABLE t_spending(key TEXT PRIMARY KEY, day INTEGER, agent TEXT, framework TEXT, provider TEXT, model TEXT,
      calls INTEGER, input_tokens INTEGER, input_known INTEGER, output_tokens INTEGER, output_known INTEGER,
      cost_nano INTEGER, priced_calls INTEGER, unpriced_calls INTEGER, unknown_usage_calls INTEGER) WITHOUT ROWID;
INSERT INTO "t_spending" VALUES('[19675,"triage","python","openai","gpt-4.1-mini"]',19675,'triage','python','openai','gpt-4.1-mini',1,90,1,9,1,1000,1,0,0);
CREATE TABLE t_steps(step_id TEXT PRIMARY KEY, run_id TEXT, parent_id TEXT, kind TEXT, name TEXT, agent TEXT,
      framework TEXT, status TEXT, evidence TEXT, internal INTEGER, started_ns INTEGER, q INTEGER, writer_id INTEGER,
      ended_ns INTEGER, end_rank INTEGER, native_id TEXT, call_id TEXT, decided_by TEXT, decided_evidence TEXT,
      task TEXT, session TEXT, labels TEXT, version TEXT, owner TEXT, resuming INTEGER, questions TEXT, stop_reason TEXT,
      input_id INTEGER, output_id INTEGER, usage_id INTEGER,
      in_base TEXT, in_base_output INTEGER, in_keep INTEGER, in_count INTEGER,
      out_base TEXT, out_base_output INTEGER, out_keep INTEGER, out_count INTEGER, offers TEXT,
      provider TEXT, model TEXT, request_model TEXT, response_id TEXT, finish_reason TEXT, usage_source TEXT,
      cached INTEGER, ttft_ns INTEGER, input_tokens INTEGER, output_tokens INTEGER, cache_read_tokens INTEGER,
      cache_write_tokens INTEGER, reasoning_tokens INTEGER, audio_tokens INTEGER, cost_nano INTEGER, price_source TEXT,
      folded_into TEXT, error_type TEXT, error_message TEXT, stamps TEXT);
INSERT INTO "t_steps" VALUES('0000000000000003','00000000000000000000000000000001','0000000000000002','llm','chat','triage','python','ok','native',NULL,1700000000000000002,4,1,1700000000000000003,3,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,2,NULL,NULL,0,1,NULL,'openai','gpt-4.1-mini',NULL,NULL,NULL,NULL,NULL,NULL,90,9,NULL,NULL,NULL,NULL,1000,'the test',NULL,NULL,NULL,NULL);
INSERT INTO "t_steps" VALUES('0000000000000001','00000000000000000000000000000001',NULL,'workflow','desk',NULL,'python','waiting','native',NULL,1700000000000000000,2,1,1700000000000000013,3,NULL,NULL,NULL,NULL,'refund','s','{"tier":"gold"}',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "t_steps" VALUES('0000000000000002','00000000000000000000000000000001','0000000000000001','agent','triage','triage','python','ok','native',NULL,1700000000000000001,3,1,1700000000000000012,3,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2','support',NULL,NULL,NULL,NULL,20,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "t_steps" VALUES('0000000000000004','00000000000000000000000000000001','0000000000000002','tool','look_up','triage','python','error','native',NULL,1700000000000000004,6,1,1700000000000000006,3,NULL,NULL,'0000000000000003',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,10,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'LookupError','no customer 7',NULL);
INSERT INTO "t_steps" VALUES('0000000000000005','00000000000000000000000000000001','0000000000000001','human','approve',NULL,'python','ok','native',NULL,1700000000000000010,12,1,1700000001000000001,3,'q1',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,28,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "t_steps" VALUES('0000000000000006','00000000000000000000000000000002',NULL,'workflow','desk',NULL,'python','ok','native',NULL,1700000001000000000,2,2,1700000001000000002,3,NULL,NULL,NULL,NULL,NULL,'s',NULL,NULL,NULL,1,NULL,NULL,NULL,25,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "t_steps" VALUES('0000000000000007','00000000000000000000000000000003',NULL,'agent','doomed','doomed','python','running','native',NULL,1700000002000000000,2,3,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE t_troubles(writer_id INTEGER NOT NULL, place TEXT NOT NULL, count INTEGER, error_type TEXT,
      error_message TEXT, at_ns INTEGER, PRIMARY KEY(writer_id, place)) WITHOUT ROWID;
INSERT INTO "t_troubles" VALUES(1,'somewhere',2,'ValueError','our own',1700000000000000014);
CREATE TABLE tapes(tape_id INTEGER PRIMARY KEY, writer_id INTEGER NOT NULL, segment INTEGER NOT NULL,
      offset INTEGER NOT NULL DEFAULT 0, UNIQUE(writer_id, segment));
INSERT INTO "tapes" VALUES(1,1,1,3782);
INSERT INTO "tapes" VALUES(2,2,1,798);
INSERT INTO "tapes" VALUES(3,3,1,444);
CREATE TABLE writers(writer_id INTEGER PRIMARY KEY, writer TEXT NOT NULL UNIQUE);
INSERT INTO "writers" VALUES(1,'0000000000000001-3573-abcdef');
INSERT INTO "writers" VALUES(2,'0000000000000002-3573-abcdef');
INSERT INTO "writers" VALUES(3,'0000000000000003-3573-abcdef');
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE UNIQUE INDEX events_once ON events(tape_id, offset) WHERE tape_id IS NOT NULL;
CREATE INDEX events_made ON events(t_ns) WHERE tape_id IS NULL;
CREATE TRIGGER events_are_kept BEFORE DELETE ON events
      BEGIN SELECT RAISE(ABORT, 'events are never deleted'); END;
CREATE TRIGGER events_stay_as_they_are BEFORE UPDATE ON events
      BEGIN SELECT RAISE(ABORT, 'events are never changed'); END;
CREATE INDEX copies_seq ON copies(seq);
CREATE INDEX t_runs_started ON t_runs(started_ns);
CREATE INDEX t_runs_unlinked ON t_runs(started_ns) WHERE unlinked = 1;
CREATE INDEX t_runs_first ON t_runs(first_run_id) WHERE first_run_id <> run_id;
CREATE INDEX t_steps_run ON t_steps(run_id);
CREATE INDEX t_steps_agent ON t_steps(agent, framework) WHERE agent IS NOT NULL;
CREATE INDEX t_steps_session ON t_steps(session) WHERE session IS NOT NULL;
CREATE INDEX t_steps_asked ON t_steps(native_id) WHERE kind = 'human' AND end_rank = 0
      AND native_id IS NOT NULL;
CREATE INDEX t_steps_open ON t_steps(writer_id) WHERE end_rank = 0;
CREATE INDEX t_steps_response ON t_steps(response_id) WHERE response_id IS NOT NULL;
CREATE INDEX t_steps_unpriced ON t_steps(provider, coalesce(model, request_model)) WHERE cost_nano IS NULL AND input_tokens IS NOT NULL
      AND cached IS NOT 1;
CREATE INDEX t_handoffs_run ON t_handoffs(run_id);
CREATE INDEX t_accesses_run ON t_accesses(run_id);
CREATE INDEX t_decisions_run ON t_decisions(run_id);
CREATE INDEX t_approvals_run ON t_approvals(run_id);
CREATE INDEX t_scores_run ON t_scores(run_id);
CREATE INDEX t_answers_open ON t_answers(run_id) WHERE applied = 0;
CREATE INDEX t_spending_none ON t_spending(calls) WHERE calls = 0;
CREATE INDEX t_spending_unpriced ON t_spending(provider, model) WHERE unpriced_calls > 0;
CREATE VIEW runs AS 
  SELECT r.run_id, s.name, s.task, s.session AS session_id, CASE WHEN r.waiting > 0 AND coalesce(s.status, 'running') NOT IN
      ('error', 'cancelled', 'interrupted', 'denied') THEN 'waiting'
    WHEN s.status = 'waiting' AND NOT (r.resumes IS NOT NULL AND EXISTS (SELECT 1 FROM t_runs asked
      WHERE asked.waiting > 0 AND asked.started_ns < r.started_ns AND (asked.run_id = r.first_run_id
        OR (asked.first_run_id = r.first_run_id AND asked.first_run_id <> asked.run_id)))) THEN 'ok'
    ELSE coalesce(s.status, 'running') END AS status, s.stop_reason, r.resumes,
    r.first_run_id,
    (SELECT json_group_array(key) FROM json_each(r.frameworks)) AS frameworks,
    strftime('%Y-%m-%dT%H:%M:%S', r.started_ns / 1000000000, 'unixepoch') || printf('.%06dZ', r.started_ns / 1000 % 1000000) AS started_at, r.started_ns AS started_ns, strftime('%Y-%m-%dT%H:%M:%S', s.ended_ns / 1000000000, 'unixepoch') || printf('.%06dZ', s.ended_ns / 1000 % 1000000) AS ended_at, s.ended_ns AS ended_ns,
    (s.ended_ns - s.started_ns) / 1e6 AS duration_ms, s.ended_ns - s.started_ns AS duration_ns,
    r.human_wait_ns / 1e6 AS human_wait_ms, r.human_wait_ns,
    r.steps, (SELECT count(*) FROM json_each(r.agents)) AS agents, r.llm_calls, r.tool_calls, r.handoffs,
    r.escalations, r.errors,
    iif(r.input_known, r.input_tokens, NULL) AS input_tokens,
    iif(r.output_known, r.output_tokens, NULL) AS output_tokens,
    iif(r.priced_calls, r.cost_nano / 1e9, NULL) AS cost_usd, iif(r.priced_calls, r.cost_nano, NULL) AS cost_nano,
    r.unpriced_calls, r.unknown_usage_calls, s.labels, CASE WHEN s.in_count IS NULL THEN (SELECT body FROM payloads WHERE payload_id = s.input_id)
      WHEN s.kind = 'llm' AND s.input_id IS NULL THEN (WITH RECURSIVE link(step_id, direction, upto) AS (
        SELECT s.step_id, 0, s.in_count
        UNION
        SELECT iif(l.direction, b.out_base, b.in_base),
          coalesce(iif(l.direction, b.out_base_output, b.in_base_output), 0),
          min(l.upto, iif(l.direction, b.out_keep, b.in_keep))
        FROM link l JOIN t_steps b ON b.step_id = l.step_id
        WHERE iif(l.direction, b.out_base, b.in_base) IS NOT NULL AND iif(l.direction, b.out_keep, b.in_keep) > 0)
      SELECT '[' || coalesce(group_concat(body, ','), '') || ']' FROM (
        SELECT coalesce(p.body, 'null') AS body FROM (
          SELECT m.position, m.payload_id FROM link l
          JOIN t_messages m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          UNION ALL
          SELECT m.position, m.payload_id FROM link l
          JOIN borrowed m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          WHERE NOT EXISTS (SELECT 1 FROM t_steps WHERE step_id = l.step_id)) m
        LEFT JOIN payloads p ON p.payload_id = m.payload_id ORDER BY m.position))
      ELSE (SELECT CASE WHEN coalesce(body, '{}') IN ('{}', 'null') THEN '{"messages":' || list || '}'
        WHEN substr(body, 1, 1) = '{' THEN substr(body, 1, length(body) - 1) || ',"messages":' || list || '}'
        ELSE '{"value":' || body || ',"messages":' || list || '}' END
        FROM (SELECT (SELECT body FROM payloads WHERE payload_id = s.input_id) AS body, (WITH RECURSIVE link(step_id, direction, upto) AS (
        SELECT s.step_id, 0, s.in_count
        UNION
        SELECT iif(l.direction, b.out_base, b.in_base),
          coalesce(iif(l.direction, b.out_base_output, b.in_base_output), 0),
          min(l.upto, iif(l.direction, b.out_keep, b.in_keep))
        FROM link l JOIN t_steps b ON b.step_id = l.step_id
        WHERE iif(l.direction, b.out_base, b.in_base) IS NOT NULL AND iif(l.direction, b.out_keep, b.in_keep) > 0)
      SELECT '[' || coalesce(group_concat(body, ','), '') || ']' FROM (
        SELECT coalesce(p.body, 'null') AS body FROM (
          SELECT m.position, m.payload_id FROM link l
          JOIN t_messages m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          UNION ALL
          SELECT m.position, m.payload_id FROM link l
          JOIN borrowed m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          WHERE NOT EXISTS (SELECT 1 FROM t_steps WHERE step_id = l.step_id)) m
        LEFT JOIN payloads p ON p.payload_id = m.payload_id ORDER BY m.position)) AS list)) END AS input, CASE WHEN s.out_count IS NULL THEN (SELECT body FROM payloads WHERE payload_id = s.output_id)
      WHEN s.kind = 'llm' AND s.output_id IS NULL THEN (WITH RECURSIVE link(step_id, direction, upto) AS (
        SELECT s.step_id, 1, s.out_count
        UNION
        SELECT iif(l.direction, b.out_base, b.in_base),
          coalesce(iif(l.direction, b.out_base_output, b.in_base_output), 0),
          min(l.upto, iif(l.direction, b.out_keep, b.in_keep))
        FROM link l JOIN t_steps b ON b.step_id = l.step_id
        WHERE iif(l.direction, b.out_base, b.in_base) IS NOT NULL AND iif(l.direction, b.out_keep, b.in_keep) > 0)
      SELECT '[' || coalesce(group_concat(body, ','), '') || ']' FROM (
        SELECT coalesce(p.body, 'null') AS body FROM (
          SELECT m.position, m.payload_id FROM link l
          JOIN t_messages m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          UNION ALL
          SELECT m.position, m.payload_id FROM link l
          JOIN borrowed m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          WHERE NOT EXISTS (SELECT 1 FROM t_steps WHERE step_id = l.step_id)) m
        LEFT JOIN payloads p ON p.payload_id = m.payload_id ORDER BY m.position))
      ELSE (SELECT CASE WHEN coalesce(body, '{}') IN ('{}', 'null') THEN '{"messages":' || list || '}'
        WHEN substr(body, 1, 1) = '{' THEN substr(body, 1, length(body) - 1) || ',"messages":' || list || '}'
        ELSE '{"value":' || body || ',"messages":' || list || '}' END
        FROM (SELECT (SELECT body FROM payloads WHERE payload_id = s.output_id) AS body, (WITH RECURSIVE link(step_id, direction, upto) AS (
        SELECT s.step_id, 1, s.out_count
        UNION
        SELECT iif(l.direction, b.out_base, b.in_base),
          coalesce(iif(l.direction, b.out_base_output, b.in_base_output), 0),
          min(l.upto, iif(l.direction, b.out_keep, b.in_keep))
        FROM link l JOIN t_steps b ON b.step_id = l.step_id
        WHERE iif(l.direction, b.out_base, b.in_base) IS NOT NULL AND iif(l.direction, b.out_keep, b.in_keep) > 0)
      SELECT '[' || coalesce(group_concat(body, ','), '') || ']' FROM (
        SELECT coalesce(p.body, 'null') AS body FROM (
          SELECT m.position, m.payload_id FROM link l
          JOIN t_messages m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          UNION ALL
          SELECT m.position, m.payload_id FROM link l
          JOIN borrowed m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          WHERE NOT EXISTS (SELECT 1 FROM t_steps WHERE step_id = l.step_id)) m
        LEFT JOIN payloads p ON p.payload_id = m.payload_id ORDER BY m.position)) AS list)) END AS output,
    r.waiting, r.open_steps, s.framework, s.agent, s.kind AS root_kind, r.root_id AS root_step_id,
    (SELECT json_group_array(key) FROM json_each(r.agents)) AS agent_names
  FROM t_runs r LEFT JOIN t_steps s ON s.step_id = r.root_id;
CREATE VIEW steps AS 
  SELECT s.step_id, s.run_id, s.parent_id, s.kind, s.name, s.agent, s.framework, s.status, s.evidence,
    strftime('%Y-%m-%dT%H:%M:%S', s.started_ns / 1000000000, 'unixepoch') || printf('.%06dZ', s.started_ns / 1000 % 1000000) AS started_at, s.started_ns AS started_ns, strftime('%Y-%m-%dT%H:%M:%S', s.ended_ns / 1000000000, 'unixepoch') || printf('.%06dZ', s.ended_ns / 1000 % 1000000) AS ended_at, s.ended_ns AS ended_ns,
    (s.ended_ns - s.started_ns) / 1e6 AS duration_ms, s.ended_ns - s.started_ns AS duration_ns,
    iif(s.folded_into IS NULL, s.input_tokens, NULL) AS input_tokens, iif(s.folded_into IS NULL, s.output_tokens, NULL) AS output_tokens,
    CASE WHEN s.folded_into IS NOT NULL THEN NULL WHEN s.cached THEN 0 ELSE s.cost_nano END / 1e9 AS cost_usd, CASE WHEN s.folded_into IS NOT NULL THEN NULL WHEN s.cached THEN 0 ELSE s.cost_nano END AS cost_nano, CASE WHEN s.in_count IS NULL THEN (SELECT body FROM payloads WHERE payload_id = s.input_id)
      WHEN s.kind = 'llm' AND s.input_id IS NULL THEN (WITH RECURSIVE link(step_id, direction, upto) AS (
        SELECT s.step_id, 0, s.in_count
        UNION
        SELECT iif(l.direction, b.out_base, b.in_base),
          coalesce(iif(l.direction, b.out_base_output, b.in_base_output), 0),
          min(l.upto, iif(l.direction, b.out_keep, b.in_keep))
        FROM link l JOIN t_steps b ON b.step_id = l.step_id
        WHERE iif(l.direction, b.out_base, b.in_base) IS NOT NULL AND iif(l.direction, b.out_keep, b.in_keep) > 0)
      SELECT '[' || coalesce(group_concat(body, ','), '') || ']' FROM (
        SELECT coalesce(p.body, 'null') AS body FROM (
          SELECT m.position, m.payload_id FROM link l
          JOIN t_messages m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          UNION ALL
          SELECT m.position, m.payload_id FROM link l
          JOIN borrowed m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          WHERE NOT EXISTS (SELECT 1 FROM t_steps WHERE step_id = l.step_id)) m
        LEFT JOIN payloads p ON p.payload_id = m.payload_id ORDER BY m.position))
      ELSE (SELECT CASE WHEN coalesce(body, '{}') IN ('{}', 'null') THEN '{"messages":' || list || '}'
        WHEN substr(body, 1, 1) = '{' THEN substr(body, 1, length(body) - 1) || ',"messages":' || list || '}'
        ELSE '{"value":' || body || ',"messages":' || list || '}' END
        FROM (SELECT (SELECT body FROM payloads WHERE payload_id = s.input_id) AS body, (WITH RECURSIVE link(step_id, direction, upto) AS (
        SELECT s.step_id, 0, s.in_count
        UNION
        SELECT iif(l.direction, b.out_base, b.in_base),
          coalesce(iif(l.direction, b.out_base_output, b.in_base_output), 0),
          min(l.upto, iif(l.direction, b.out_keep, b.in_keep))
        FROM link l JOIN t_steps b ON b.step_id = l.step_id
        WHERE iif(l.direction, b.out_base, b.in_base) IS NOT NULL AND iif(l.direction, b.out_keep, b.in_keep) > 0)
      SELECT '[' || coalesce(group_concat(body, ','), '') || ']' FROM (
        SELECT coalesce(p.body, 'null') AS body FROM (
          SELECT m.position, m.payload_id FROM link l
          JOIN t_messages m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          UNION ALL
          SELECT m.position, m.payload_id FROM link l
          JOIN borrowed m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          WHERE NOT EXISTS (SELECT 1 FROM t_steps WHERE step_id = l.step_id)) m
        LEFT JOIN payloads p ON p.payload_id = m.payload_id ORDER BY m.position)) AS list)) END AS input, CASE WHEN s.out_count IS NULL THEN (SELECT body FROM payloads WHERE payload_id = s.output_id)
      WHEN s.kind = 'llm' AND s.output_id IS NULL THEN (WITH RECURSIVE link(step_id, direction, upto) AS (
        SELECT s.step_id, 1, s.out_count
        UNION
        SELECT iif(l.direction, b.out_base, b.in_base),
          coalesce(iif(l.direction, b.out_base_output, b.in_base_output), 0),
          min(l.upto, iif(l.direction, b.out_keep, b.in_keep))
        FROM link l JOIN t_steps b ON b.step_id = l.step_id
        WHERE iif(l.direction, b.out_base, b.in_base) IS NOT NULL AND iif(l.direction, b.out_keep, b.in_keep) > 0)
      SELECT '[' || coalesce(group_concat(body, ','), '') || ']' FROM (
        SELECT coalesce(p.body, 'null') AS body FROM (
          SELECT m.position, m.payload_id FROM link l
          JOIN t_messages m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          UNION ALL
          SELECT m.position, m.payload_id FROM link l
          JOIN borrowed m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          WHERE NOT EXISTS (SELECT 1 FROM t_steps WHERE step_id = l.step_id)) m
        LEFT JOIN payloads p ON p.payload_id = m.payload_id ORDER BY m.position))
      ELSE (SELECT CASE WHEN coalesce(body, '{}') IN ('{}', 'null') THEN '{"messages":' || list || '}'
        WHEN substr(body, 1, 1) = '{' THEN substr(body, 1, length(body) - 1) || ',"messages":' || list || '}'
        ELSE '{"value":' || body || ',"messages":' || list || '}' END
        FROM (SELECT (SELECT body FROM payloads WHERE payload_id = s.output_id) AS body, (WITH RECURSIVE link(step_id, direction, upto) AS (
        SELECT s.step_id, 1, s.out_count
        UNION
        SELECT iif(l.direction, b.out_base, b.in_base),
          coalesce(iif(l.direction, b.out_base_output, b.in_base_output), 0),
          min(l.upto, iif(l.direction, b.out_keep, b.in_keep))
        FROM link l JOIN t_steps b ON b.step_id = l.step_id
        WHERE iif(l.direction, b.out_base, b.in_base) IS NOT NULL AND iif(l.direction, b.out_keep, b.in_keep) > 0)
      SELECT '[' || coalesce(group_concat(body, ','), '') || ']' FROM (
        SELECT coalesce(p.body, 'null') AS body FROM (
          SELECT m.position, m.payload_id FROM link l
          JOIN t_messages m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          UNION ALL
          SELECT m.position, m.payload_id FROM link l
          JOIN borrowed m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          WHERE NOT EXISTS (SELECT 1 FROM t_steps WHERE step_id = l.step_id)) m
        LEFT JOIN payloads p ON p.payload_id = m.payload_id ORDER BY m.position)) AS list)) END AS output,
    s.error_type, s.error_message, s.native_id, w.writer AS process_id, s.q AS process_seq, s.call_id, s.stop_reason,
    s.decided_by, s.decided_evidence, coalesce(s.internal, 0) AS internal, s.version, s.owner, s.folded_into
  FROM t_steps s LEFT JOIN writers w USING (writer_id);
CREATE VIEW llm_calls AS 
  SELECT s.step_id, s.run_id, s.agent, s.framework, s.provider, s.model, s.request_model, s.response_id,
    strftime('%Y-%m-%dT%H:%M:%S', s.started_ns / 1000000000, 'unixepoch') || printf('.%06dZ', s.started_ns / 1000 % 1000000) AS started_at, s.started_ns AS started_ns,
    (s.ended_ns - s.started_ns) / 1e6 AS duration_ms, s.ended_ns - s.started_ns AS duration_ns,
    s.ttft_ns / 1e6 AS ttft_ms, s.ttft_ns,
    s.input_tokens, s.output_tokens, s.cache_read_tokens, s.cache_write_tokens, s.reasoning_tokens, s.audio_tokens,
    s.usage_source, coalesce(s.cached, 0) AS cached, CASE WHEN s.folded_into IS NOT NULL THEN NULL WHEN s.cached THEN 0 ELSE s.cost_nano END / 1e9 AS cost_usd, CASE WHEN s.folded_into IS NOT NULL THEN NULL WHEN s.cached THEN 0 ELSE s.cost_nano END AS cost_nano, s.price_source,
    s.finish_reason, s.status, s.error_type, s.error_message, s.name, s.evidence, (SELECT body FROM payloads WHERE payload_id = s.usage_id) AS raw_usage,
    (SELECT '[' || group_concat(coalesce(p.body, 'null'), ',') || ']' FROM json_each(s.offers) o
      LEFT JOIN payloads p ON p.payload_id = o.value) AS tools
  FROM t_steps s WHERE s.kind = 'llm' AND s.folded_into IS NULL;
CREATE VIEW tool_calls AS 
  SELECT s.step_id, s.run_id, s.agent, s.framework, s.name AS tool, s.call_id, strftime('%Y-%m-%dT%H:%M:%S', s.started_ns / 1000000000, 'unixepoch') || printf('.%06dZ', s.started_ns / 1000 % 1000000) AS started_at, s.started_ns AS started_ns,
    (s.ended_ns - s.started_ns) / 1e6 AS duration_ms, s.ended_ns - s.started_ns AS duration_ns,
    CASE WHEN s.in_count IS NULL THEN (SELECT body FROM payloads WHERE payload_id = s.input_id)
      WHEN s.kind = 'llm' AND s.input_id IS NULL THEN (WITH RECURSIVE link(step_id, direction, upto) AS (
        SELECT s.step_id, 0, s.in_count
        UNION
        SELECT iif(l.direction, b.out_base, b.in_base),
          coalesce(iif(l.direction, b.out_base_output, b.in_base_output), 0),
          min(l.upto, iif(l.direction, b.out_keep, b.in_keep))
        FROM link l JOIN t_steps b ON b.step_id = l.step_id
        WHERE iif(l.direction, b.out_base, b.in_base) IS NOT NULL AND iif(l.direction, b.out_keep, b.in_keep) > 0)
      SELECT '[' || coalesce(group_concat(body, ','), '') || ']' FROM (
        SELECT coalesce(p.body, 'null') AS body FROM (
          SELECT m.position, m.payload_id FROM link l
          JOIN t_messages m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          UNION ALL
          SELECT m.position, m.payload_id FROM link l
          JOIN borrowed m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          WHERE NOT EXISTS (SELECT 1 FROM t_steps WHERE step_id = l.step_id)) m
        LEFT JOIN payloads p ON p.payload_id = m.payload_id ORDER BY m.position))
      ELSE (SELECT CASE WHEN coalesce(body, '{}') IN ('{}', 'null') THEN '{"messages":' || list || '}'
        WHEN substr(body, 1, 1) = '{' THEN substr(body, 1, length(body) - 1) || ',"messages":' || list || '}'
        ELSE '{"value":' || body || ',"messages":' || list || '}' END
        FROM (SELECT (SELECT body FROM payloads WHERE payload_id = s.input_id) AS body, (WITH RECURSIVE link(step_id, direction, upto) AS (
        SELECT s.step_id, 0, s.in_count
        UNION
        SELECT iif(l.direction, b.out_base, b.in_base),
          coalesce(iif(l.direction, b.out_base_output, b.in_base_output), 0),
          min(l.upto, iif(l.direction, b.out_keep, b.in_keep))
        FROM link l JOIN t_steps b ON b.step_id = l.step_id
        WHERE iif(l.direction, b.out_base, b.in_base) IS NOT NULL AND iif(l.direction, b.out_keep, b.in_keep) > 0)
      SELECT '[' || coalesce(group_concat(body, ','), '') || ']' FROM (
        SELECT coalesce(p.body, 'null') AS body FROM (
          SELECT m.position, m.payload_id FROM link l
          JOIN t_messages m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          UNION ALL
          SELECT m.position, m.payload_id FROM link l
          JOIN borrowed m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          WHERE NOT EXISTS (SELECT 1 FROM t_steps WHERE step_id = l.step_id)) m
        LEFT JOIN payloads p ON p.payload_id = m.payload_id ORDER BY m.position)) AS list)) END AS arguments, CASE WHEN s.out_count IS NULL THEN (SELECT body FROM payloads WHERE payload_id = s.output_id)
      WHEN s.kind = 'llm' AND s.output_id IS NULL THEN (WITH RECURSIVE link(step_id, direction, upto) AS (
        SELECT s.step_id, 1, s.out_count
        UNION
        SELECT iif(l.direction, b.out_base, b.in_base),
          coalesce(iif(l.direction, b.out_base_output, b.in_base_output), 0),
          min(l.upto, iif(l.direction, b.out_keep, b.in_keep))
        FROM link l JOIN t_steps b ON b.step_id = l.step_id
        WHERE iif(l.direction, b.out_base, b.in_base) IS NOT NULL AND iif(l.direction, b.out_keep, b.in_keep) > 0)
      SELECT '[' || coalesce(group_concat(body, ','), '') || ']' FROM (
        SELECT coalesce(p.body, 'null') AS body FROM (
          SELECT m.position, m.payload_id FROM link l
          JOIN t_messages m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          UNION ALL
          SELECT m.position, m.payload_id FROM link l
          JOIN borrowed m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          WHERE NOT EXISTS (SELECT 1 FROM t_steps WHERE step_id = l.step_id)) m
        LEFT JOIN payloads p ON p.payload_id = m.payload_id ORDER BY m.position))
      ELSE (SELECT CASE WHEN coalesce(body, '{}') IN ('{}', 'null') THEN '{"messages":' || list || '}'
        WHEN substr(body, 1, 1) = '{' THEN substr(body, 1, length(body) - 1) || ',"messages":' || list || '}'
        ELSE '{"value":' || body || ',"messages":' || list || '}' END
        FROM (SELECT (SELECT body FROM payloads WHERE payload_id = s.output_id) AS body, (WITH RECURSIVE link(step_id, direction, upto) AS (
        SELECT s.step_id, 1, s.out_count
        UNION
        SELECT iif(l.direction, b.out_base, b.in_base),
          coalesce(iif(l.direction, b.out_base_output, b.in_base_output), 0),
          min(l.upto, iif(l.direction, b.out_keep, b.in_keep))
        FROM link l JOIN t_steps b ON b.step_id = l.step_id
        WHERE iif(l.direction, b.out_base, b.in_base) IS NOT NULL AND iif(l.direction, b.out_keep, b.in_keep) > 0)
      SELECT '[' || coalesce(group_concat(body, ','), '') || ']' FROM (
        SELECT coalesce(p.body, 'null') AS body FROM (
          SELECT m.position, m.payload_id FROM link l
          JOIN t_messages m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          UNION ALL
          SELECT m.position, m.payload_id FROM link l
          JOIN borrowed m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          WHERE NOT EXISTS (SELECT 1 FROM t_steps WHERE step_id = l.step_id)) m
        LEFT JOIN payloads p ON p.payload_id = m.payload_id ORDER BY m.position)) AS list)) END AS result, s.status, s.error_type, s.error_message,
    CASE WHEN s.folded_into IS NOT NULL THEN NULL WHEN s.cached THEN 0 ELSE s.cost_nano END / 1e9 AS cost_usd, CASE WHEN s.folded_into IS NOT NULL THEN NULL WHEN s.cached THEN 0 ELSE s.cost_nano END AS cost_nano, s.decided_by, s.decided_evidence, s.evidence
  FROM t_steps s WHERE s.kind = 'tool' AND s.status <> 'waiting';
CREATE VIEW messages AS 
  SELECT s.run_id, m.step_id, iif(m.direction, 'output', 'input') AS direction,
    m.position + iif(m.direction AND s.kind = 'llm', coalesce(s.in_count, 0), 0) AS position,
    iif(json_valid(p.body), json_extract(p.body, '$.role'), NULL) AS role,
    iif(json_valid(p.body), (SELECT group_concat(json_extract(value, '$.content'), char(10))
      FROM json_each(p.body, '$.parts') WHERE json_extract(value, '$.type') = 'text'), p.body) AS content,
    iif(json_valid(p.body), (SELECT nullif(json_group_array(json(value)), '[]')
      FROM json_each(p.body, '$.parts') WHERE json_extract(value, '$.type') = 'tool_call'), NULL) AS tool_calls,
    iif(json_valid(p.body), (SELECT json_extract(value, '$.id')
      FROM json_each(p.body, '$.parts') WHERE json_extract(value, '$.type') = 'tool_call_response' LIMIT 1), NULL)
      AS call_id,
    p.body AS message
  FROM t_messages m JOIN t_steps s USING (step_id) LEFT JOIN payloads p USING (payload_id);
CREATE VIEW handoffs AS 
  SELECT h.handoff_id, h.run_id, h.step_id, h.mode, h.source, h.target, h.target_asked, h.target_type, h.coordinator,
    h.reason, (SELECT body FROM payloads WHERE payload_id = h.payload_id) AS payload, CASE WHEN h.answer_id IS NOT NULL THEN (SELECT body FROM payloads WHERE payload_id = h.answer_id) WHEN h.status = 'returned' THEN
      (SELECT CASE WHEN s.out_count IS NULL THEN (SELECT body FROM payloads WHERE payload_id = s.output_id)
      WHEN s.kind = 'llm' AND s.output_id IS NULL THEN (WITH RECURSIVE link(step_id, direction, upto) AS (
        SELECT s.step_id, 1, s.out_count
        UNION
        SELECT iif(l.direction, b.out_base, b.in_base),
          coalesce(iif(l.direction, b.out_base_output, b.in_base_output), 0),
          min(l.upto, iif(l.direction, b.out_keep, b.in_keep))
        FROM link l JOIN t_steps b ON b.step_id = l.step_id
        WHERE iif(l.direction, b.out_base, b.in_base) IS NOT NULL AND iif(l.direction, b.out_keep, b.in_keep) > 0)
      SELECT '[' || coalesce(group_concat(body, ','), '') || ']' FROM (
        SELECT coalesce(p.body, 'null') AS body FROM (
          SELECT m.position, m.payload_id FROM link l
          JOIN t_messages m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          UNION ALL
          SELECT m.position, m.payload_id FROM link l
          JOIN borrowed m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          WHERE NOT EXISTS (SELECT 1 FROM t_steps WHERE step_id = l.step_id)) m
        LEFT JOIN payloads p ON p.payload_id = m.payload_id ORDER BY m.position))
      ELSE (SELECT CASE WHEN coalesce(body, '{}') IN ('{}', 'null') THEN '{"messages":' || list || '}'
        WHEN substr(body, 1, 1) = '{' THEN substr(body, 1, length(body) - 1) || ',"messages":' || list || '}'
        ELSE '{"value":' || body || ',"messages":' || list || '}' END
        FROM (SELECT (SELECT body FROM payloads WHERE payload_id = s.output_id) AS body, (WITH RECURSIVE link(step_id, direction, upto) AS (
        SELECT s.step_id, 1, s.out_count
        UNION
        SELECT iif(l.direction, b.out_base, b.in_base),
          coalesce(iif(l.direction, b.out_base_output, b.in_base_output), 0),
          min(l.upto, iif(l.direction, b.out_keep, b.in_keep))
        FROM link l JOIN t_steps b ON b.step_id = l.step_id
        WHERE iif(l.direction, b.out_base, b.in_base) IS NOT NULL AND iif(l.direction, b.out_keep, b.in_keep) > 0)
      SELECT '[' || coalesce(group_concat(body, ','), '') || ']' FROM (
        SELECT coalesce(p.body, 'null') AS body FROM (
          SELECT m.position, m.payload_id FROM link l
          JOIN t_messages m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          UNION ALL
          SELECT m.position, m.payload_id FROM link l
          JOIN borrowed m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          WHERE NOT EXISTS (SELECT 1 FROM t_steps WHERE step_id = l.step_id)) m
        LEFT JOIN payloads p ON p.payload_id = m.payload_id ORDER BY m.position)) AS list)) END FROM t_steps s WHERE s.step_id = (
        SELECT iif(asker.kind = 'tool' AND asker.ended_ns >= target.ended_ns, asker.step_id, target.step_id)
        FROM t_steps target LEFT JOIN t_steps asker ON asker.step_id = h.step_id
        WHERE target.step_id = h.target_step_id)) END AS answer, h.status, h.refused_by,
    h.error_message, h.evidence, h.decided_by, h.decided_evidence, h.target_step_id, h.framework,
    strftime('%Y-%m-%dT%H:%M:%S', coalesce(h.requested_ns, h.asked_ns) / 1000000000, 'unixepoch') || printf('.%06dZ', coalesce(h.requested_ns, h.asked_ns) / 1000 % 1000000) AS requested_at, coalesce(h.requested_ns, h.asked_ns) AS requested_ns, strftime('%Y-%m-%dT%H:%M:%S', h.accepted_ns / 1000000000, 'unixepoch') || printf('.%06dZ', h.accepted_ns / 1000 % 1000000) AS accepted_at, h.accepted_ns AS accepted_ns, strftime('%Y-%m-%dT%H:%M:%S', h.returned_ns / 1000000000, 'unixepoch') || printf('.%06dZ', h.returned_ns / 1000 % 1000000) AS returned_at, h.returned_ns AS returned_ns
  FROM t_handoffs h;
CREATE VIEW accesses AS 
  SELECT a.run_id, a.step_id, coalesce(a.agent, s.agent) AS agent, a.source,
    coalesce(a.query, (SELECT iif(json_valid(body) AND substr(body, 1, 1) = '"', json_extract(body, '$'), body)
      FROM payloads WHERE payload_id = a.query_id)) AS query, a.item_id, a.score, a.bytes,
    strftime('%Y-%m-%dT%H:%M:%S', a.at_ns / 1000000000, 'unixepoch') || printf('.%06dZ', a.at_ns / 1000 % 1000000) AS at, a.at_ns
  FROM t_accesses a LEFT JOIN t_steps s USING (step_id);
CREATE VIEW decisions AS 
  SELECT d.decision_id, d.run_id, d.step_id, d.call_id, d.agent, d.action, d.resource, d.verdict, d.rule, d.reason,
    d.policy, d.policy_version, d.enforced, strftime('%Y-%m-%dT%H:%M:%S', d.at_ns / 1000000000, 'unixepoch') || printf('.%06dZ', d.at_ns / 1000 % 1000000) AS at, d.at_ns
  FROM t_decisions d;
CREATE VIEW approvals AS 
  SELECT a.approval_id, a.run_id, a.step_id, coalesce(a.agent, s.agent) AS agent, a.tool,
    (SELECT body FROM payloads WHERE payload_id = a.arguments_id) AS arguments, a.status, strftime('%Y-%m-%dT%H:%M:%S', a.asked_ns / 1000000000, 'unixepoch') || printf('.%06dZ', a.asked_ns / 1000 % 1000000) AS asked_at, a.asked_ns AS asked_ns, strftime('%Y-%m-%dT%H:%M:%S', a.answered_ns / 1000000000, 'unixepoch') || printf('.%06dZ', a.answered_ns / 1000 % 1000000) AS answered_at, a.answered_ns AS answered_ns,
    a.answered_by, a.comment
  FROM t_approvals a LEFT JOIN t_steps s USING (step_id);
CREATE VIEW scores AS 
  SELECT c.run_id, c.step_id, c.name, c.value, c.label, c.source, c.comment, strftime('%Y-%m-%dT%H:%M:%S', c.at_ns / 1000000000, 'unixepoch') || printf('.%06dZ', c.at_ns / 1000 % 1000000) AS at, c.at_ns
  FROM t_scores c;
CREATE VIEW findings AS 
  SELECT f.finding_id, f.run_id, f.step_id, f.detector, f.severity, f.summary, f.cost_nano / 1e9 AS cost_usd,
    f.cost_nano, strftime('%Y-%m-%dT%H:%M:%S', f.at_ns / 1000000000, 'unixepoch') || printf('.%06dZ', f.at_ns / 1000 % 1000000) AS at, f.at_ns
  FROM t_findings f;
CREATE VIEW agents AS 
  SELECT g.agent, g.framework,
    (SELECT s.version FROM t_steps s WHERE s.agent = g.agent AND s.framework IS g.framework AND s.version IS NOT NULL
      ORDER BY s.started_ns DESC LIMIT 1) AS version,
    (SELECT s.owner FROM t_steps s WHERE s.agent = g.agent AND s.framework IS g.framework AND s.owner IS NOT NULL
      ORDER BY s.started_ns DESC LIMIT 1) AS owner,
    g.internal,
    (SELECT coalesce(s.model, s.request_model) FROM t_steps s WHERE s.agent = g.agent AND s.framework IS g.framework
      AND s.kind = 'llm' AND coalesce(s.model, s.request_model) IS NOT NULL ORDER BY s.started_ns DESC LIMIT 1) AS model,
    (SELECT json_group_array(name) FROM (SELECT DISTINCT s.name FROM t_steps s WHERE s.agent = g.agent
      AND s.framework IS g.framework AND s.kind = 'tool' AND s.name IS NOT NULL ORDER BY s.name)) AS tools,
    g.runs, g.steps, g.cost_nano / 1e9 AS cost_usd, g.cost_nano, g.errors,
    strftime('%Y-%m-%dT%H:%M:%S', g.first_seen_ns / 1000000000, 'unixepoch') || printf('.%06dZ', g.first_seen_ns / 1000 % 1000000) AS first_seen, g.first_seen_ns, strftime('%Y-%m-%dT%H:%M:%S', g.last_seen_ns / 1000000000, 'unixepoch') || printf('.%06dZ', g.last_seen_ns / 1000 % 1000000) AS last_seen, g.last_seen_ns
  FROM (SELECT s.agent, s.framework, max(coalesce(s.internal, 0)) AS internal, count(DISTINCT s.run_id) AS runs,
      count(*) AS steps, sum(CASE WHEN s.folded_into IS NOT NULL THEN NULL WHEN s.cached THEN 0 ELSE s.cost_nano END) AS cost_nano, count(s.error_type) AS errors, min(s.started_ns) AS first_seen_ns,
      max(coalesce(s.ended_ns, s.started_ns)) AS last_seen_ns
    FROM t_steps s WHERE s.agent IS NOT NULL GROUP BY s.agent, s.framework) g;
CREATE VIEW processes AS 
  SELECT w.writer AS process_id, p.host, p.pid, strftime('%Y-%m-%dT%H:%M:%S', p.started_ns / 1000000000, 'unixepoch') || printf('.%06dZ', p.started_ns / 1000 % 1000000) AS started_at, p.started_ns AS started_ns, strftime('%Y-%m-%dT%H:%M:%S', p.ended_ns / 1000000000, 'unixepoch') || printf('.%06dZ', p.ended_ns / 1000 % 1000000) AS ended_at, p.ended_ns AS ended_ns,
    p.ended_ns IS NULL AS alive, p.versions, p.gone, strftime('%Y-%m-%dT%H:%M:%S', p.last_ns / 1000000000, 'unixepoch') || printf('.%06dZ', p.last_ns / 1000 % 1000000) AS last_seen, p.last_ns AS last_seen_ns
  FROM (SELECT *, iif(exit_ns >= last_ns, exit_ns, gone_ns) AS ended_ns, gone_ns IS NOT NULL AS gone
    FROM t_processes) p JOIN writers w USING (writer_id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('payloads',28);
INSERT INTO "sqlite_sequence" VALUES('events',28);
COMMIT;
