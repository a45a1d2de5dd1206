PRAGMA application_id=1128689513;
PRAGMA user_version=2;
BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'counterfoil','m001_initial','2026-11-23 02:12:39.550821+00:00');
INSERT INTO "_sqlite_migrations" VALUES(2,'counterfoil','m002_audit','2026-11-23 02:12:39.551507+00:00');
CREATE TABLE borrowed(step_id TEXT NOT NULL, direction INTEGER NOT NULL, position INTEGER NOT NULL,
      payload_id INTEGER, PRIMARY KEY(step_id, direction, position)) WITHOUT ROWID;
CREATE TABLE checkpoints(checkpoint_id INTEGER PRIMARY KEY AUTOINCREMENT, size INTEGER NOT NULL,
      at_ns INTEGER NOT NULL, note TEXT NOT NULL);
CREATE TABLE copies(source_id INTEGER NOT NULL, source_seq INTEGER NOT NULL, seq INTEGER NOT NULL,
      chain BLOB NOT NULL, before BLOB, leaf BLOB, PRIMARY KEY(source_id, source_seq)) WITHOUT ROWID;
CREATE TABLE event_payloads(seq INTEGER NOT NULL, slot INTEGER NOT NULL, payload_id INTEGER NOT NULL,
      salt BLOB NOT NULL, PRIMARY KEY(seq, slot)) WITHOUT ROWID;
INSERT INTO "event_payloads" VALUES(1,0,1,X'36F308ED4AFA2C7178E130E1548E53B2');
INSERT INTO "event_payloads" VALUES(2,0,2,X'0D433EAC361065DE658F427B8474B394');
INSERT INTO "event_payloads" VALUES(3,0,3,X'C8E082F5C19FA035D022D50BD82C2F28');
INSERT INTO "event_payloads" VALUES(4,0,4,X'316A0B0FA150915F9B9806C6E04058D3');
INSERT INTO "event_payloads" VALUES(4,1,5,X'D64CC8BC0B3707FA9591BEC894A49841');
INSERT INTO "event_payloads" VALUES(4,2,6,X'15F96D48BF8340A1026EFCC48570545D');
INSERT INTO "event_payloads" VALUES(5,0,7,X'DE8689328D85BE8D6FBC57364F585206');
INSERT INTO "event_payloads" VALUES(5,1,8,X'DE7F0B45044A8C9677612837946E83F9');
INSERT INTO "event_payloads" VALUES(6,0,9,X'C113E92E118482B12CE722EC4690C650');
INSERT INTO "event_payloads" VALUES(6,1,10,X'0F1256120DB65505AC962E64E80EE0F5');
INSERT INTO "event_payloads" VALUES(7,0,11,X'6D70666E304D5AF1FA49380D933DEEA8');
INSERT INTO "event_payloads" VALUES(7,1,12,X'2F4839D39B8315E7D6885EB8F28F778C');
INSERT INTO "event_payloads" VALUES(8,0,13,X'728796BE8E0846A0DFC41E85EA567A13');
INSERT INTO "event_payloads" VALUES(9,0,14,X'0981C0F65E4B8EF37D27D6E49B2B9EDB');
INSERT INTO "event_payloads" VALUES(10,0,15,X'4945953B94728E22527D42F7908C8944');
INSERT INTO "event_payloads" VALUES(11,0,16,X'3447D84477A34DFF9C9A3701E64D8379');
INSERT INTO "event_payloads" VALUES(12,0,17,X'655BC67CD73A036F08974133E02FD519');
INSERT INTO "event_payloads" VALUES(13,0,18,X'B8CFBC9BBED6EB832A45049C9D49706D');
INSERT INTO "event_payloads" VALUES(13,1,19,X'76FB3FAED91817C2F5D259CDD0B4D16A');
INSERT INTO "event_payloads" VALUES(14,0,20,X'63989EADED770873EB8398E20F6CAF90');
INSERT INTO "event_payloads" VALUES(16,0,21,X'67320370DA1C2298D4B754851CFCDB4B');
INSERT INTO "event_payloads" VALUES(18,0,22,X'492A34B8D2D75D7FA30C8F3231B6CD53');
INSERT INTO "event_payloads" VALUES(19,0,23,X'B7F406BB84176D55C88F5B09D43F806D');
INSERT INTO "event_payloads" VALUES(20,0,24,X'0C8700CEBADA5863D6EA11D8B2991163');
INSERT INTO "event_payloads" VALUES(21,0,25,X'12E859E882ED2F58320E755C69E6B8A3');
INSERT INTO "event_payloads" VALUES(23,0,26,X'4ABE716E7391030C17B260A5D098E729');
INSERT INTO "event_payloads" VALUES(24,0,27,X'C703BE36DAFF3AFF11307DA97F691F03');
INSERT INTO "event_payloads" VALUES(26,0,28,X'BF23672C477CEEB94F9BE31583E59E5E');
CREATE TABLE events(seq INTEGER PRIMARY KEY AUTOINCREMENT, tape_id INTEGER, offset INTEGER, head TEXT NOT NULL,
      commitments BLOB, chain BLOB NOT NULL,
      kind TEXT AS (json_extract(head, '$.k')) VIRTUAL, t_ns INTEGER AS (json_extract(head, '$.t')) VIRTUAL,
      run_id TEXT AS (json_extract(head, '$.run')) VIRTUAL, step_id TEXT AS (json_extract(head, '$.step')) VIRTUAL);
INSERT INTO "events" VALUES(1,1,0,'{"k":"open","t":1700000000000000000,"q":1,"parts":["text"],"format":1,"pid":4145,"segment":1}',X'54BF9129042464CEF4A5F6635D6430DB33AF4F7E86B5D774E6CBA1D0457F0EF0',X'FA0B02EBE4C890FACC306DA79BE47EF0DB50610940DB5429838FA00CBE829967');
INSERT INTO "events" VALUES(2,1,216,'{"k":"start","t":1700000000000000000,"q":2,"run":"00000000000000000000000000000001","step":"0000000000000001","kind":"workflow","evidence":"native","parts":["text"]}',X'9810A7373C9E2E26CB8F79D25FBC90418D1003BBC5A015A7FD9CA7AD4358F101',X'32100C83FE4AB3726117D6B91F4F0A74E167E8B43D0B18E865D8A2A7ED859957');
INSERT INTO "events" VALUES(3,1,474,'{"k":"start","t":1700000000000000001,"q":3,"run":"00000000000000000000000000000001","step":"0000000000000002","parent":"0000000000000001","kind":"agent","evidence":"native","parts":["text"]}',X'639B36844ED07D9A98B43CB72CE6E6DEE039FE6A478CC556B7990A47CD3A7BD5',X'00D98DACF91CCE7C0D993C4462FF072798D16FB8587CC991301DD1D4B349DB74');
INSERT INTO "events" VALUES(4,1,753,'{"k":"start","t":1700000000000000002,"q":4,"run":"00000000000000000000000000000001","step":"0000000000000003","parent":"0000000000000002","kind":"llm","evidence":"native","parts":["text","m1","m2"],"refs":[1,2]}',X'BF5AAD168CA95648F07B5267C11FE399836F91526DB022F33D38C5071355B9D116E79E355519A38CD3A05822F1C4639303B426836CD9F9B7E3FA2D7D6E48DA290C222F4B75CA054839A336ABBD29DE31DEAAFB06B635B48750944772A6450078',X'BEF7CA9A80C4A2EEED12D3069F6483D3DEF2A1F2F228C636F6E42659A2B0C0C9');
INSERT INTO "events" VALUES(5,1,1147,'{"k":"end","t":1700000000000000003,"q":5,"run":"00000000000000000000000000000001","step":"0000000000000003","status":"ok","parts":["text","m3"],"refs":[3],"input_tokens":90,"output_tokens":9,"cost_nano":1000}',X'44B3A32F7F0FE8979BE3FDA0A6E52E25762C8D3F8D0BBE613C62F2B55F61E6533CD3D84D3FA34DCE6FFAF5938675F7F4EBA8EC76F5C52BA4A5A3F936CE015751',X'84B317C1004B673C1A88BC8DFAFBCDFA507CDA06C2AA87CFA926CF843E7CD533');
INSERT INTO "events" VALUES(6,1,1491,'{"k":"start","t":1700000000000000004,"q":6,"run":"00000000000000000000000000000001","step":"0000000000000004","parent":"0000000000000002","kind":"tool","evidence":"native","parts":["text","input"],"decided":"0000000000000003"}',X'A557E91D2663B474B56E8C34C552239DCCD520260F99903F86E5FFF8E320FDBC6CF3EE9FAAC6993196169C8426974FA899608D9154A386504E27161DE1DD18CC',X'A54199455E4218E949D8485AB7F17D07BAFDDA54E1C948DE7B6241CBAC50AFA5');
INSERT INTO "events" VALUES(7,1,1784,'{"k":"access","t":1700000000000000005,"q":7,"run":"00000000000000000000000000000001","step":"0000000000000004","parts":["text","items"]}',X'73ED5F2320332B54D2C248C264E8BFDBFE96269A01A8BDA152CC9EF8434AB47729849EDB7EC6380C54FC539F3506F53EB9992D1CAAE09A4EBC4FFB1DE56B2E7A',X'C1DC5EA24F489E83294F9559639649B4E7F1C07A21DBCB66B88439B26E6CEFC0');
INSERT INTO "events" VALUES(8,1,1986,'{"k":"end","t":1700000000000000006,"q":8,"run":"00000000000000000000000000000001","step":"0000000000000004","status":"error","parts":["text"]}',X'F6D7FDC596B8B54F3D0DE0A0FBE7889518E139929F6462B9DCFACF351A76C72F',X'913350FDC3330C16BD61E8788C4A13BE4F2785BAC69482DD20927C5B46DD3D5F');
INSERT INTO "events" VALUES(9,1,2190,'{"k":"decision","t":1700000000000000007,"q":9,"run":"00000000000000000000000000000001","step":"0000000000000004","parts":["text"],"item":"dddddddddddddddd","verdict":"allow"}',X'53975FB25EE8BAAB7F3F6653EE6AE50353E94EFD084C11651AA98687FE8C3268',X'6C999B86A8714DF0108EBFECECBF0620EDAB4A04D94DD7908CC3AFD527EC04DB');
INSERT INTO "events" VALUES(10,1,2399,'{"k":"handoff","t":1700000000000000008,"q":10,"run":"00000000000000000000000000000001","step":"0000000000000002","status":"requested","evidence":"native","parts":["text"],"handoff":"eeeeeeeeeeeeeeee","mode":"transfer","target_type":"agent"}',X'0667C47296EFE0907C52EBD8050FD5DB449717CC0669B7769CF032BF5DDECEC5',X'9B56AF70ACD808448CDE08E1628BBBBAD6D8D69405448BD53CC026319EE8808F');
INSERT INTO "events" VALUES(11,1,2704,'{"k":"score","t":1700000000000000009,"q":11,"run":"00000000000000000000000000000001","parts":["text"],"value":0.9}',X'5F1EACFEBEA32CAC2649AA583E0888CE54DB1697E179F8CAF3F9D9B2BB933B42',X'87BD8619FD03F3A7FFD3AAFCF9C0D60EDA6E365D428AAB9D1F1DEB1A3C521E36');
INSERT INTO "events" VALUES(12,1,2838,'{"k":"start","t":1700000000000000010,"q":12,"run":"00000000000000000000000000000001","step":"0000000000000005","parent":"0000000000000001","kind":"human","evidence":"native","parts":["text"]}',X'23B5074AD473CDCFDC2412E26CE2B5D99CEC08040A2F805C4A3A5FEE9EC91E2F',X'8B72FD909DF957E95709F16C6BB2A9729935B03EC9C229AD06633037E2B36192');
INSERT INTO "events" VALUES(13,1,3087,'{"k":"approval","t":1700000000000000011,"q":13,"run":"00000000000000000000000000000001","step":"0000000000000005","status":"waiting","parts":["text","payload"],"item":"ffffffffffffffff"}',X'6ED68131EC6FD07B2D7FEAB1F328121F1C8318FAE6AFB6FB7E1BD68B10966472832CB113F06E92582A481F8ED93C8ADAB06531CDF48B9DD2D348CDEB91AEB848',X'081452B72C5E920F43802C93EAC2337CA2DE7FC367593840F36653F18BEF1AC3');
INSERT INTO "events" VALUES(14,1,3305,'{"k":"end","t":1700000000000000012,"q":14,"run":"00000000000000000000000000000001","step":"0000000000000002","status":"ok","parts":["output"]}',X'13F4CE3BA292D1813F1F230628752C12289EC56BCA4ACEF0D3E71F8D5F1AFB07',X'8BE2E04729A9CAE2A29EE6A76C2CE35548AAB6E7A9B5B38CA57390C19C8D982D');
INSERT INTO "events" VALUES(15,1,3461,'{"k":"end","t":1700000000000000013,"q":15,"run":"00000000000000000000000000000001","step":"0000000000000001","status":"waiting"}',NULL,X'16F6853FDD9050D496119A006F48598AAB97599FD7B2C215251C66A7C190740D');
INSERT INTO "events" VALUES(16,1,3590,'{"k":"trouble","t":1700000000000000014,"q":16,"parts":["text"],"count":2}',X'4ABD6ACBF445425677B00DC8766228DFABF7A91A7CE4C74EC4ABB7A0D4E2A93F',X'4052840ADCCAB6FD800A88B771BCB71AF790CE0A10EE9C32728892FCF630B67E');
INSERT INTO "events" VALUES(17,1,3738,'{"k":"exit","t":1700000000000000015,"q":17}',NULL,X'E6DC825D39AEB8C2F6C851A121EF43F9623AAB2481486BD627C514F7AC4FB5D7');
INSERT INTO "events" VALUES(18,2,0,'{"k":"open","t":1700000000000000000,"q":1,"parts":["text"],"format":1,"pid":4145,"segment":1}',X'1318E1EB1E5B4AE0EAA66EC4898992B1CF0A75F73F7553EB8AD955456A1C1EBB',X'A734140D7A064B0C655B5575D23266649BFC98A205FD7BBF09EDA5EF5C44B688');
INSERT INTO "events" VALUES(19,2,216,'{"k":"start","t":1700000001000000000,"q":2,"run":"00000000000000000000000000000002","step":"0000000000000006","kind":"workflow","evidence":"native","parts":["text"],"resuming":true}',X'F3B998D67E73B0760DCD6540100BD6867EA212D762C5CE52010FEFEB2104FD25',X'09E6C6655298F30D5DD8339DE4AA9ED4ECFDB65DC1064461C254EE463136FCE7');
INSERT INTO "events" VALUES(20,2,449,'{"k":"answer","t":1700000001000000001,"q":3,"run":"00000000000000000000000000000002","parts":["answer"]}',X'F2885C557057428DBDFEFA04BDB94F5A028F5ECBCE3F94664C78DF6F5B10EBDD',X'11C276FF77EAEE4564C34A4F54CEA1E3248C43A68D83A4B35394D240AD0A7A94');
INSERT INTO "events" VALUES(21,2,602,'{"k":"end","t":1700000001000000002,"q":4,"run":"00000000000000000000000000000002","step":"0000000000000006","status":"ok","parts":["output"]}',X'DE57C70CB4F7D795D07EBDED820CC5B04400ADE7C615398E609C6989C7183F7B',X'31599A4F7D7EFB92ECAC37A519D249D75D88AF5B7591826A159C39D8F84821D4');
INSERT INTO "events" VALUES(22,2,755,'{"k":"exit","t":1700000001000000003,"q":5}',NULL,X'BD79B63A668FE5739E2C78075F26A5F19F502E0EA176DF3784FBE1FF522D348E');
INSERT INTO "events" VALUES(23,3,0,'{"k":"open","t":1700000000000000000,"q":1,"parts":["text"],"format":1,"pid":4145,"segment":1}',X'07BBC55ADEB14DE2120BC1BA0DCAB4C067EA33CEA797916167675394900A7C80',X'7A4ECF609A031B230003FD9BA330D490F7E16E877AF591948C6552246CEB43F8');
INSERT INTO "events" VALUES(24,3,216,'{"k":"start","t":1700000002000000000,"q":2,"run":"00000000000000000000000000000003","step":"0000000000000007","kind":"agent","evidence":"native","parts":["text"]}',X'1F4E42CEE51A33B5593C22381A43B0B0362714C6CA00E01E8E8CDB47E55E8C8A',X'7C295C260B7A427ECF6007C87CE8BDA783588677C462434D81B4FDB392C4D4E1');
INSERT INTO "events" VALUES(25,NULL,NULL,'{"k":"resume","t":1700000001000000000,"q":0,"run":"00000000000000000000000000000002","resumes":"00000000000000000000000000000001","first_run":"00000000000000000000000000000001"}',NULL,X'952065A301F3A9468B899B725456D4177ED87F327B8475F830FFB69262D74B37');
INSERT INTO "events" VALUES(26,NULL,NULL,'{"k":"end","t":1700000001000000001,"q":3,"run":"00000000000000000000000000000001","step":"0000000000000005","status":"ok","parts":["output"]}',X'7F0C32F4585A11CDD212848AB058F9C3D5E0B057BE70CEA8A28229321E9EC37B',X'CFB9A1D987EB27DA43732424856E8F3FB688A0CF479EC1977E32F1CF72A99D2A');
INSERT INTO "events" VALUES(27,NULL,NULL,'{"k":"approval","t":1700000001000000001,"q":3,"run":"00000000000000000000000000000001","step":"0000000000000005","status":"approved","item":"ffffffffffffffff"}',NULL,X'5C6E10C5F2E225C65E559FE1967634AC87F978A9F87D76FF84A2DC862AB0E508');
INSERT INTO "events" VALUES(28,NULL,NULL,'{"k":"answer","t":1700000001000000001,"q":3,"run":"00000000000000000000000000000002"}',NULL,X'10D097C83947067787878DF446ACF49BCAEF71A73F433302041E7D09D96B7062');
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT INTO "meta" VALUES('store_id','e1954e9f523936bc025b5afc8168d67b');
INSERT INTO "meta" VALUES('store_key',X'2C5E5F6965929125F18AC06AAEE30FCEAEBFAFD3AA7DEA538A66B3DEE77A8AAF');
CREATE TABLE payloads(payload_id INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB NOT NULL UNIQUE, body TEXT NOT NULL);
INSERT INTO "payloads" VALUES(1,X'0AFCA2757312EBDE33E69F1F1791A525','{"writer":"0000000000000001-4145-abcdef","host":"there","boot":"then","machine":"that","versions":{"counterfoil":"test"}}');
INSERT INTO "payloads" VALUES(2,X'555BB30CF7751B125631A20CBA7E86D8','{"name":"desk","framework":"python","task":"refund","session":"s","labels":{"tier":"gold"}}');
INSERT INTO "payloads" VALUES(3,X'CD8E5AC271A16A48290FE685E80A6E88','{"name":"triage","agent":"triage","framework":"python","version":"2","owner":"support"}');
INSERT INTO "payloads" VALUES(4,X'9E3139E566F50A0AE9A90A2813C225ED','{"name":"chat","agent":"triage","framework":"python"}');
INSERT INTO "payloads" VALUES(5,X'F82E5E825B20D0757007C01B44BAEDD3','{"role":"system","parts":[{"type":"text","content":"Be brief."}]}');
INSERT INTO "payloads" VALUES(6,X'DA39D29ECB18A4C399369B5D6CADC02E','{"role":"user","parts":[{"type":"text","content":"Refund?"}]}');
INSERT INTO "payloads" VALUES(7,X'DA9404FC0BF111501921BB1D05DF2E28','{"provider":"openai","model":"gpt-4.1-mini","price_source":"the test"}');
INSERT INTO "payloads" VALUES(8,X'FAD74EBB26AC5194D6AB04D2A1A5721E','{"role":"assistant","parts":[{"type":"text","content":"Yes."}]}');
INSERT INTO "payloads" VALUES(9,X'44A0671C1C24019A6682D53C8A024ACB','{"name":"look_up","agent":"triage","framework":"python"}');
INSERT INTO "payloads" VALUES(10,X'839E745015C4B4855E5D764F0194BD8E','{"id":7}');
INSERT INTO "payloads" VALUES(11,X'DEF5662E120E0DF67D801BF581F7EB1E','{"source":"kb","query":"refunds"}');
INSERT INTO "payloads" VALUES(12,X'0A2CAA37EECB96A7700B27BF312C70A0','[{"item_id":"d1","score":0.5}]');
INSERT INTO "payloads" VALUES(13,X'BBD90C9D1EDD6D142F4F166EE4C41B34','{"error_type":"LookupError","error_message":"no customer 7"}');
INSERT INTO "payloads" VALUES(14,X'8DC875043351135B04D10DE462ED8658','{"action":"look_up","rule":"all"}');
INSERT INTO "payloads" VALUES(15,X'E775DC0453B636205F181E19CC20363C','{"source":"triage","target":"billing","reason":"charged twice"}');
INSERT INTO "payloads" VALUES(16,X'E12801FC33DACD4C2F5BA2FC4BA74305','{"name":"helpful"}');
INSERT INTO "payloads" VALUES(17,X'E89E8E66115B5BDC6603D5A4C0040EBE','{"name":"approve","framework":"python","native_id":"q1"}');
INSERT INTO "payloads" VALUES(18,X'17DC9A957FC880CB4E0BAB02E71BF6D6','{"name":"refund"}');
INSERT INTO "payloads" VALUES(19,X'814F60093D776FB3668C2DE8E4B18EE7','{"amount":5}');
INSERT INTO "payloads" VALUES(20,X'3FD46DE6399D78A44269B9C16C23E353','"to billing"');
INSERT INTO "payloads" VALUES(21,X'600754B5CED596DD65F63E0B95F9356C','{"error_type":"ValueError","error_message":"our own","place":"somewhere"}');
INSERT INTO "payloads" VALUES(22,X'28CA13A511CB9A705F8EBFBC156FCD19','{"writer":"0000000000000002-4145-abcdef","host":"there","boot":"then","machine":"that","versions":{"counterfoil":"test"}}');
INSERT INTO "payloads" VALUES(23,X'DCC60BDEBE9403FFA40402AC53CFC09E','{"name":"desk","framework":"python","session":"s"}');
INSERT INTO "payloads" VALUES(24,X'9559FCD0E1870166D59D535AFD31A87E','[{"id":"q1","value":"yes","status":"approved"}]');
INSERT INTO "payloads" VALUES(25,X'F238817AB3CCFDE9E38B59CF3AA9D645','"refunded"');
INSERT INTO "payloads" VALUES(26,X'A897B4E572C6DD14C49864A351935FE6','{"writer":"0000000000000003-4145-abcdef","host":"there","boot":"then","machine":"that","versions":{"counterfoil":"test"}}');
INSERT INTO "payloads" VALUES(27,X'66438D43DA7133F250CBDC816F17DCCE','{"name":"doomed","agent":"doomed","framework":"python"}');
INSERT INTO "payloads" VALUES(28,X'2B0A72F2DE01CD8AF2E82879576B000C','"yes"');
CREATE TABLE pruned(seq INTEGER PRIMARY KEY, tape_id INTEGER, offset INTEGER, leaf BLOB NOT NULL,
      chain BLOB);
CREATE TABLE quarantine(tape_id INTEGER NOT NULL, offset INTEGER NOT NULL, at_ns INTEGER, reason TEXT, raw BLOB);
INSERT INTO "quarantine" VALUES(3,435,1795399959576108154,'the head is no event: JSON is malformed: invalid character (byte 4)',X'6E6F206576656E74');
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
CREATE TABLE t_erasures(seq INTEGER PRIMARY KEY, kind TEXT, run_id TEXT, at_ns INTEGER, erased_by TEXT, reason TEXT,
      what TEXT, events INTEGER, texts INTEGER);
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
INSERT INTO "t_processes" VALUES(1,4145,'there','then','that','{"counterfoil":"test"}',NULL,1700000000000000000,1700000000000000015,1700000000000000015,NULL);
INSERT INTO "t_processes" VALUES(2,4145,'there','then','that','{"counterfoil":"test"}',NULL,1700000000000000000,1700000001000000003,1700000001000000003,NULL);
INSERT INTO "t_processes" VALUES(3,4145,'there','then','that','{"counterfoil":"test"}',NULL,1700000000000000000,1700000002000000000,NULL,NULL);
CREATE TABLE t_runs(run_id TEXT PRIMARY KEY, root_id TEXT, root_ns INTEGER, started_ns INTEGER, resumes TEXT,
      first_run_id TEXT, steps INTEGER, open_steps INTEGER, waiting INTEGER, llm_calls INTEGER, tool_calls INTEGER,
      errors INTEGER, input_tokens INTEGER, input_known INTEGER, output_tokens INTEGER, output_known INTEGER,
      cost_nano INTEGER, priced_calls INTEGER, unpriced_calls INTEGER, unknown_usage_calls INTEGER,
      human_wait_ns INTEGER, handoffs INTEGER, escalations INTEGER, agents TEXT, frameworks TEXT,
      unlinked INTEGER);
INSERT INTO "t_runs" VALUES('00000000000000000000000000000001','0000000000000001',1700000000000000000,1700000000000000000,NULL,'00000000000000000000000000000001',5,0,0,1,1,1,90,1,9,1,1000,1,0,0,999999991,1,0,'{"triage":3}','{"python":5}',NULL);
INSERT INTO "t_runs" VALUES('00000000000000000000000000000002','0000000000000006',1700000001000000000,1700000001000000000,'00000000000000000000000000000001','00000000000000000000000000000001',1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,NULL,'{"python":1}',NULL);
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
CREATE TABLE tiles(level INTEGER NOT NULL, n INTEGER NOT NULL, hash BLOB NOT NULL,
      PRIMARY KEY(level, n)) WITHOUT ROWID;
CREATE TABLE writers(writer_id INTEGER PRIMARY KEY, writer TEXT NOT NULL UNIQUE);
INSERT INTO "writers" VALUES(1,'0000000000000001-4145-abcdef');
INSERT INTO "writers" VALUES(2,'0000000000000002-4145-abcdef');
INSERT INTO "writers" VALUES(3,'0000000000000003-4145-abcdef');
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
CREATE UNIQUE INDEX pruned_once ON pruned(tape_id, offset) WHERE tape_id IS NOT NULL;
CREATE INDEX t_erasures_run ON t_erasures(run_id);
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
          WHERE NOT EXISTS (SELECT 1 FROM t_steps b WHERE b.step_id = l.step_id
            AND iif(l.direction, b.out_count, b.in_count) IS NOT NULL)) m
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
          WHERE NOT EXISTS (SELECT 1 FROM t_steps b WHERE b.step_id = l.step_id
            AND iif(l.direction, b.out_count, b.in_count) IS NOT NULL)) m
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
          WHERE NOT EXISTS (SELECT 1 FROM t_steps b WHERE b.step_id = l.step_id
            AND iif(l.direction, b.out_count, b.in_count) IS NOT NULL)) m
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
          WHERE NOT EXISTS (SELECT 1 FROM t_steps b WHERE b.step_id = l.step_id
            AND iif(l.direction, b.out_count, b.in_count) IS NOT NULL)) m
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
          WHERE NOT EXISTS (SELECT 1 FROM t_steps b WHERE b.step_id = l.step_id
            AND iif(l.direction, b.out_count, b.in_count) IS NOT NULL)) m
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
          WHERE NOT EXISTS (SELECT 1 FROM t_steps b WHERE b.step_id = l.step_id
            AND iif(l.direction, b.out_count, b.in_count) IS NOT NULL)) m
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
          WHERE NOT EXISTS (SELECT 1 FROM t_steps b WHERE b.step_id = l.step_id
            AND iif(l.direction, b.out_count, b.in_count) IS NOT NULL)) m
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
          WHERE NOT EXISTS (SELECT 1 FROM t_steps b WHERE b.step_id = l.step_id
            AND iif(l.direction, b.out_count, b.in_count) IS NOT NULL)) m
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
          WHERE NOT EXISTS (SELECT 1 FROM t_steps b WHERE b.step_id = l.step_id
            AND iif(l.direction, b.out_count, b.in_count) IS NOT NULL)) m
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
          WHERE NOT EXISTS (SELECT 1 FROM t_steps b WHERE b.step_id = l.step_id
            AND iif(l.direction, b.out_count, b.in_count) IS NOT NULL)) m
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
          WHERE NOT EXISTS (SELECT 1 FROM t_steps b WHERE b.step_id = l.step_id
            AND iif(l.direction, b.out_count, b.in_count) IS NOT NULL)) m
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
          WHERE NOT EXISTS (SELECT 1 FROM t_steps b WHERE b.step_id = l.step_id
            AND iif(l.direction, b.out_count, b.in_count) IS NOT NULL)) m
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
          WHERE NOT EXISTS (SELECT 1 FROM t_steps b WHERE b.step_id = l.step_id
            AND iif(l.direction, b.out_count, b.in_count) IS NOT NULL)) m
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
          WHERE NOT EXISTS (SELECT 1 FROM t_steps b WHERE b.step_id = l.step_id
            AND iif(l.direction, b.out_count, b.in_count) IS NOT NULL)) m
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
CREATE VIEW erasures AS 
  SELECT e.run_id, e.kind, e.erased_by, e.reason, e.what, e.events, e.texts, strftime('%Y-%m-%dT%H:%M:%S', e.at_ns / 1000000000, 'unixepoch') || printf('.%06dZ', e.at_ns / 1000 % 1000000) AS at, e.at_ns
  FROM t_erasures e;
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
