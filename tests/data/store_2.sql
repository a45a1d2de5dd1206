PRAGMA application_id=1128689513;
PRAGMA user_version=2;
BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'counterfoil','m001_initial','2026-11-23 00:50:30.152784+00:00');
INSERT INTO "_sqlite_migrations" VALUES(2,'counterfoil','m002_audit','2026-11-23 00:50:30.153512+00:00');
CREATE TABLE borrowed(step_id TEXT NOT NULL, direction INTEGER NOT NULL, position INTEGER NOT NULL,
      payload_id INTEGER, PRIMARY KEY(step_id, direction, position)) WITHOUT ROWID;
CREATE TABLE checkpoints(checkpoint_id INTEGER PRIMARY KEY AUTOINCREMENT, size INTEGER NOT NULL,
      at_ns INTEGER NOT NULL, note TEXT NOT NULL);
CREATE TABLE copies(source_id INTEGER NOT NULL, source_seq INTEGER NOT NULL, seq INTEGER NOT NULL,
      chain BLOB NOT NULL, before BLOB, leaf BLOB, PRIMARY KEY(source_id, source_seq)) WITHOUT ROWID;
CREATE TABLE event_payloads(seq INTEGER NOT NULL, slot INTEGER NOT NULL, payload_id INTEGER NOT NULL,
      salt BLOB NOT NULL, PRIMARY KEY(seq, slot)) WITHOUT ROWID;
INSERT INTO "event_payloads" VALUES(1,0,1,X'B518E5FEBDFDEFFEED9BC0DED6502B5B');
INSERT INTO "event_payloads" VALUES(2,0,2,X'38AF1E8F62C543EBEFC7AFCAC8A03939');
INSERT INTO "event_payloads" VALUES(3,0,3,X'5A6443E4B3801BEC46C66E66A093884F');
INSERT INTO "event_payloads" VALUES(4,0,4,X'4D4E4AF2F375CB6BB4B53FA7EC5E5B2A');
INSERT INTO "event_payloads" VALUES(4,1,5,X'39573DF50C814AABFB41329FBA9FC143');
INSERT INTO "event_payloads" VALUES(4,2,6,X'0D24B6A297288C03AE755D77BA204DAC');
INSERT INTO "event_payloads" VALUES(5,0,7,X'35234BB02DF8DF231FAE2B973BA93D40');
INSERT INTO "event_payloads" VALUES(5,1,8,X'50CE89BB50CC2BA517BDC24E01B780D9');
INSERT INTO "event_payloads" VALUES(6,0,9,X'EA1482C92125AD51F8ECB8FBFBAAE359');
INSERT INTO "event_payloads" VALUES(6,1,10,X'B561A59F2C79AA9DE434F1EDF13564D3');
INSERT INTO "event_payloads" VALUES(7,0,11,X'D3BE8E76571E2C9ED07E94770FE8599C');
INSERT INTO "event_payloads" VALUES(7,1,12,X'8C5761A6A99D589F49064F5B92BFD244');
INSERT INTO "event_payloads" VALUES(8,0,13,X'89A8F17DC39B33D576807AFE64F2FB05');
INSERT INTO "event_payloads" VALUES(9,0,14,X'9EA8548FBD7D5E455C9BE73D611CB80F');
INSERT INTO "event_payloads" VALUES(10,0,15,X'89420797E34E9899C013D89215221F31');
INSERT INTO "event_payloads" VALUES(11,0,16,X'1510A7E323D6C98C575F772D69DDE52B');
INSERT INTO "event_payloads" VALUES(12,0,17,X'4C6CD88A7D21DF11513D14709AF85529');
INSERT INTO "event_payloads" VALUES(13,0,18,X'C94FD414E58BC939B40469A084BD1E67');
INSERT INTO "event_payloads" VALUES(13,1,19,X'6B716E4E8C2CE4658F083144C8A8D357');
INSERT INTO "event_payloads" VALUES(14,0,20,X'0DCCD3DE85D61F4EFC11A23E422549E5');
INSERT INTO "event_payloads" VALUES(16,0,21,X'65FD347D161672BE33836BBD6FB88792');
INSERT INTO "event_payloads" VALUES(18,0,22,X'1D5FB3ACC8BAEE1F56802A68AE374A13');
INSERT INTO "event_payloads" VALUES(19,0,23,X'9980763D1A97F32D2F71A1EC9EF1C5D3');
INSERT INTO "event_payloads" VALUES(20,0,24,X'57F02AA0F6C73C96CD259B4002DE2568');
INSERT INTO "event_payloads" VALUES(21,0,25,X'252AEBB38874949F738E4C6F8A0B562A');
INSERT INTO "event_payloads" VALUES(23,0,26,X'D0BA092137E822EEE2C2D75C5241D44A');
INSERT INTO "event_payloads" VALUES(24,0,27,X'B3F465697645E6A8495C35E415872A82');
INSERT INTO "event_payloads" VALUES(26,0,28,X'A101A59FA8413D734E4D2E4A0BB2C3CF');
CREATE TABLE events(seq INTEGER PRIMARY KEY AUTOINCREMENT, tape_id INTEGER, offset INTEGER, head TEXT NOT NULL,
      commitments BLOB, chain BLOB NOT NULL,
      kind TEXT AS (json_extract(head, '$.k')) VIRTUAL, t_ns INTEGER AS (json_extract(head, '$.t')) VIRTUAL,
      run_id TEXT AS (json_extract(head, '$.run')) VIRTUAL, step_id TEXT AS (json_extract(head, '$.step')) VIRTUAL);
INSERT INTO "events" VALUES(1,1,0,'{"k":"open","t":1700000000000000000,"q":1,"parts":["text"],"format":1,"pid":24134,"segment":1}',X'79FF4B3CCDDB08C7F976760C4FC21F3DA4FCE1A743EE3E06DE28E211C9651E48',X'2B2524BC2A917191DAD7EA0D8A13C41A2B06D036EAC9B544DAB3C3502F5C072F');
INSERT INTO "events" VALUES(2,1,218,'{"k":"start","t":1700000000000000000,"q":2,"run":"00000000000000000000000000000001","step":"0000000000000001","kind":"workflow","evidence":"native","parts":["text"]}',X'5DCDB3472EDA8CF25EC9BE1A8102EA82939498655A65EC9FEE43CD9475F7C432',X'30A7EFD12C6618ACA56FA94767736AF8C8C16B246434E8646B765B00048B2B3F');
INSERT INTO "events" VALUES(3,1,476,'{"k":"start","t":1700000000000000001,"q":3,"run":"00000000000000000000000000000001","step":"0000000000000002","parent":"0000000000000001","kind":"agent","evidence":"native","parts":["text"]}',X'68117B964CC6BCC00A57678AE8C11E89AC0FC2E2B3001E17CAC54078D581F954',X'C354DA8CF65B8BCA70A9F671B64E544F7E209596569FFCB0C58C06C3B73D7AA7');
INSERT INTO "events" VALUES(4,1,755,'{"k":"start","t":1700000000000000002,"q":4,"run":"00000000000000000000000000000001","step":"0000000000000003","parent":"0000000000000002","kind":"llm","evidence":"native","parts":["text","m1","m2"],"refs":[1,2]}',X'91FCEEDC9A09E64FA5E2E1BACACFA17FE491DCC1D60BBE1DD8B7C2D0CD04020D5A44D5F313A82C61F8353097018608C805837BA5D09EF50000312E934E82341F79DA3233AF67CE25018F3965DC44C634FCEC604DB6BD677C5CA3A3F881B5F893',X'71B239822B837BA29B5F3FF4BB34EA6474A9563D62BC101A2BDECC3BD4A82982');
INSERT INTO "events" VALUES(5,1,1149,'{"k":"end","t":1700000000000000003,"q":5,"run":"00000000000000000000000000000001","step":"0000000000000003","status":"ok","parts":["text","m3"],"refs":[3],"input_tokens":90,"output_tokens":9,"cost_nano":1000}',X'9AB33187C514159061EF752D92BFA3DA1A5CEF16A78CDA091FBEF258499BD7AE240FEC433B705580724B67774F6E7A5F1E0B0E81F2CFE91749E1DFC475F6A70A',X'C6880FAFFF40BD38E7B05A310306DAFDA81AF067CFD20306C475EC9269EBCEDC');
INSERT INTO "events" VALUES(6,1,1493,'{"k":"start","t":1700000000000000004,"q":6,"run":"00000000000000000000000000000001","step":"0000000000000004","parent":"0000000000000002","kind":"tool","evidence":"native","parts":["text","input"],"decided":"0000000000000003"}',X'3C6B2D4EF271EDF997FF4DCB1C435E70D79E66519D7A5762B35D29285DACA0989DA3361EC9014C65EE9F1811EEE4ADF3FCD48684ED3B66FCF8C166007572FAF4',X'E4FF45DF288AFF431A8D95A681FE860EED6F638DAA4C5432F9DA4DBECC421984');
INSERT INTO "events" VALUES(7,1,1786,'{"k":"access","t":1700000000000000005,"q":7,"run":"00000000000000000000000000000001","step":"0000000000000004","parts":["text","items"]}',X'20E7AEB9F7E26AF8A4D901FDD292A74A1ABAC102C77A483FFA13CD04F2D9B9F6BD7BAD246BF2F1175A70192E4496D028F19145FCBE8057CDF5C3DAADC71C5B89',X'C09A2CE458E0CC7A602534664D2D1DEDF570D3385C93A0F08B39B65CBEC9A6FA');
INSERT INTO "events" VALUES(8,1,1988,'{"k":"end","t":1700000000000000006,"q":8,"run":"00000000000000000000000000000001","step":"0000000000000004","status":"error","parts":["text"]}',X'3B0F71ACC2A6A568A29350F7C96BBC1BE311AD26AC4F0E3DA64A22F7CEC84668',X'2BABAA7BFE1AC97BABB93DB4EA15705E243149FF9ACADA0BB3CC4C036F835F3D');
INSERT INTO "events" VALUES(9,1,2192,'{"k":"decision","t":1700000000000000007,"q":9,"run":"00000000000000000000000000000001","step":"0000000000000004","parts":["text"],"item":"dddddddddddddddd","verdict":"allow"}',X'8B724EB7BF9C468F9A923F2567D8B204C02F7B5120695D3274A18ED259241C71',X'0010B26A18195393A9EFDA71DDAD484AE47BBBA438C7716D56B12220ED756FF8');
INSERT INTO "events" VALUES(10,1,2401,'{"k":"handoff","t":1700000000000000008,"q":10,"run":"00000000000000000000000000000001","step":"0000000000000002","status":"requested","evidence":"native","parts":["text"],"handoff":"eeeeeeeeeeeeeeee","mode":"transfer","target_type":"agent"}',X'6FC9677B321220B984C65F4E7A17CEA1FFF4A073D2053A3966A5BA3EE26AB292',X'304402AA3841BDB307AB039701D156270C95332CBFC672229A0E235B672478DE');
INSERT INTO "events" VALUES(11,1,2706,'{"k":"score","t":1700000000000000009,"q":11,"run":"00000000000000000000000000000001","parts":["text"],"value":0.9}',X'3436DD950ACFAEEE684EEB182F2B6CF598D73A770D10EB8F604389E8B07C3B27',X'2CABEC838898C2A7DF747E44AB521467740D29A1A4D38922D68BAF37365E4FB5');
INSERT INTO "events" VALUES(12,1,2840,'{"k":"start","t":1700000000000000010,"q":12,"run":"00000000000000000000000000000001","step":"0000000000000005","parent":"0000000000000001","kind":"human","evidence":"native","parts":["text"]}',X'593F1AC9DED002AF73E345616D48808B310DC1031AE92BD48523B784BB8AA3A7',X'15AF9B53792656E09BB707081AD4EE944C7D2A1436C9873A5DDC2FD989AC3567');
INSERT INTO "events" VALUES(13,1,3089,'{"k":"approval","t":1700000000000000011,"q":13,"run":"00000000000000000000000000000001","step":"0000000000000005","status":"waiting","parts":["text","payload"],"item":"ffffffffffffffff"}',X'1A8142C123E0DD9A691110CB22DA7EBAD4F177A7AE37EA95B383A07CFE015F0C58C40CA05FA89583B5B41047C16846676F76D80D11147CDC55BBC17BE9081ED7',X'817A09313502DE94E254A66645AB35C592321521F7D6A065DD6304A16CEF3413');
INSERT INTO "events" VALUES(14,1,3307,'{"k":"end","t":1700000000000000012,"q":14,"run":"00000000000000000000000000000001","step":"0000000000000002","status":"ok","parts":["output"]}',X'52385344863AA43BEC10109F4818CA752106149832354F831B23EA59A34ABBA5',X'7F0C25935D87A944FA9EE57A6AE24BBECE3F2F17E091434E3798B77637805EDB');
INSERT INTO "events" VALUES(15,1,3463,'{"k":"end","t":1700000000000000013,"q":15,"run":"00000000000000000000000000000001","step":"0000000000000001","status":"waiting"}',NULL,X'8BB89D68DF1F2BAB50123E4850AA580FFCBECEF4CDEC1949D1EC87F83707BF31');
INSERT INTO "events" VALUES(16,1,3592,'{"k":"trouble","t":1700000000000000014,"q":16,"parts":["text"],"count":2}',X'210312B968EB15A5B15445BF577572BE96B1D21AF3FB71A4913E6B4D54A51916',X'71A4ECD83E4767921505B4EBE4107ED0599B70F31DC6FDB88ED00A81F1E43784');
INSERT INTO "events" VALUES(17,1,3740,'{"k":"exit","t":1700000000000000015,"q":17}',NULL,X'C76B05225C0295B22C26ABCCEA0EE48924F7C68F1E7556A29F9BF12553682A2A');
INSERT INTO "events" VALUES(18,2,0,'{"k":"open","t":1700000000000000000,"q":1,"parts":["text"],"format":1,"pid":24134,"segment":1}',X'0844F656AB8144F0227F03FFAB40CFB7B7AD0CEB46FB5BAB2A9F0C5AADF51526',X'9360D3D2F0D667D34A16731B12E8AA80C91A10508B31CB3675EA509685E8C2D7');
INSERT INTO "events" VALUES(19,2,218,'{"k":"start","t":1700000001000000000,"q":2,"run":"00000000000000000000000000000002","step":"0000000000000006","kind":"workflow","evidence":"native","parts":["text"],"resuming":true}',X'9215C263C4F074766F71A7C432E73AF61C13736DF7E3D82BB0E57DF6E0A9B28D',X'29D48057A7A2B96E1083674D13A279D8D295BA6D2821722F580C066516F266E7');
INSERT INTO "events" VALUES(20,2,451,'{"k":"answer","t":1700000001000000001,"q":3,"run":"00000000000000000000000000000002","parts":["answer"]}',X'FA2D0C0F0825F96CB793E58F4C357BC59D4BB6F196353507C9F675015AF2646A',X'FE2920AC303182C08ACA85888CFA63781A31C62C644701BF3121FAB1E18EFAD5');
INSERT INTO "events" VALUES(21,2,604,'{"k":"end","t":1700000001000000002,"q":4,"run":"00000000000000000000000000000002","step":"0000000000000006","status":"ok","parts":["output"]}',X'5EF44B690135A23A45D0615CC6C937D81318476B183F03EEB67489667448F3C1',X'0AEBFDFC793C7474D91238A328EF322AFEFBC1FC3476B12E662624FB8E157F9C');
INSERT INTO "events" VALUES(22,2,757,'{"k":"exit","t":1700000001000000003,"q":5}',NULL,X'8C758496723D2030869CD2DF5B4CAD366C3836444E9E99C674F0913C94464122');
INSERT INTO "events" VALUES(23,3,0,'{"k":"open","t":1700000000000000000,"q":1,"parts":["text"],"format":1,"pid":24134,"segment":1}',X'19AA04DAE68BD5173CB7B4C55686B5F4049B56104F11ACFB3A2D329CF1FE5F72',X'522811A753E18E9E2D30CCEEE90AD3FB1FB632851391279C1D273428251B66AF');
INSERT INTO "events" VALUES(24,3,218,'{"k":"start","t":1700000002000000000,"q":2,"run":"00000000000000000000000000000003","step":"0000000000000007","kind":"agent","evidence":"native","parts":["text"]}',X'6DA8FFDBBF72DCA5B5575BE05EE9981F1278AF55EA32C52EF52F7EAD83A678D0',X'F6CE6670EA2F5377C31B8CCC35B6EC172D0D41F1035FC7FE2ABC6EA406E89B6A');
INSERT INTO "events" VALUES(25,NULL,NULL,'{"k":"resume","t":1700000001000000000,"q":0,"run":"00000000000000000000000000000002","resumes":"00000000000000000000000000000001","first_run":"00000000000000000000000000000001"}',NULL,X'7986D8F98D91DF2310608B2468BB536F07E5D06D87339EF23E620CCA8112EC39');
INSERT INTO "events" VALUES(26,NULL,NULL,'{"k":"end","t":1700000001000000001,"q":3,"run":"00000000000000000000000000000001","step":"0000000000000005","status":"ok","parts":["output"]}',X'32072DF86FA630D3CC39C1D184B8130FB02B81B00B8E83E9B80CFE5E746D40D1',X'70983ED701A307E1E89CBCCD02DD846D9DCEB74E8DCFE8CC5C100B39D72A5716');
INSERT INTO "events" VALUES(27,NULL,NULL,'{"k":"approval","t":1700000001000000001,"q":3,"run":"00000000000000000000000000000001","step":"0000000000000005","status":"approved","item":"ffffffffffffffff"}',NULL,X'3B6C556CF53312353C17FC06866036C995D2DCADBC7E86727B0E75E27B74D7AB');
INSERT INTO "events" VALUES(28,NULL,NULL,'{"k":"answer","t":1700000001000000001,"q":3,"run":"00000000000000000000000000000002"}',NULL,X'0185F41245F40DB81040FA13B0B1EABC2FF7891E1206B2157215D3FB1D1E5D76');
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT INTO "meta" VALUES('store_id','200f048d5b83e1cb350e4400732fc816');
INSERT INTO "meta" VALUES('store_key',X'556A55DD74385F032EA1DCDB2F474A55E1FD8E82CACCE84ECF3F3178D4A83FC9');
CREATE TABLE payloads(payload_id INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB NOT NULL UNIQUE, body TEXT NOT NULL);
INSERT INTO "payloads" VALUES(1,X'5D155FACEB5A891425C5E29D476842B3','{"writer":"0000000000000001-24134-abcdef","host":"there","boot":"then","machine":"that","versions":{"counterfoil":"test"}}');
INSERT INTO "payloads" VALUES(2,X'C4D22BA61CF1EDDCD79E4D3A747CB83A','{"name":"desk","framework":"python","task":"refund","session":"s","labels":{"tier":"gold"}}');
INSERT INTO "payloads" VALUES(3,X'1A9E10465145C74CFA1FC7BC06CDBA64','{"name":"triage","agent":"triage","framework":"python","version":"2","owner":"support"}');
INSERT INTO "payloads" VALUES(4,X'AD950E8690D6A00F25FCF2FE8BE318CE','{"name":"chat","agent":"triage","framework":"python"}');
INSERT INTO "payloads" VALUES(5,X'4460108ADDFEBB2EE24CFDF83B354E49','{"role":"system","parts":[{"type":"text","content":"Be brief."}]}');
INSERT INTO "payloads" VALUES(6,X'CDC47FEA9DAB3E2ECC3585A2E383FF7F','{"role":"user","parts":[{"type":"text","content":"Refund?"}]}');
INSERT INTO "payloads" VALUES(7,X'5D6521B9FB2EEF36E8F998C8C25E49A0','{"provider":"openai","model":"gpt-4.1-mini","price_source":"the test"}');
INSERT INTO "payloads" VALUES(8,X'659B8455559C73D2A9744613BD0C2F3B','{"role":"assistant","parts":[{"type":"text","content":"Yes."}]}');
INSERT INTO "payloads" VALUES(9,X'97152BB0FE0E431659146C19AE77BB38','{"name":"look_up","agent":"triage","framework":"python"}');
INSERT INTO "payloads" VALUES(10,X'974FF6C72FCE5444EEA4BE6461DA1F34','{"id":7}');
INSERT INTO "payloads" VALUES(11,X'FFDDA74DC62FF75BD2DACC62EBD55365','{"source":"kb","query":"refunds"}');
INSERT INTO "payloads" VALUES(12,X'D5256965EF53BBB5A4833C783F739448','[{"item_id":"d1","score":0.5}]');
INSERT INTO "payloads" VALUES(13,X'0E8F3B81C38C183422A629885A559D00','{"error_type":"LookupError","error_message":"no customer 7"}');
INSERT INTO "payloads" VALUES(14,X'39DBD1468286F3CDAB70E38704DECD35','{"action":"look_up","rule":"all"}');
INSERT INTO "payloads" VALUES(15,X'9F0BFDC336C3F5BB0386AB93CBB1B663','{"source":"triage","target":"billing","reason":"charged twice"}');
INSERT INTO "payloads" VALUES(16,X'1CE9CF84CCFBBE3B99ADE8CA71F908E2','{"name":"helpful"}');
INSERT INTO "payloads" VALUES(17,X'E2DECE865B5902A64B8637C2EAD3DE3C','{"name":"approve","framework":"python","native_id":"q1"}');
INSERT INTO "payloads" VALUES(18,X'280432EF580A67A77D9104B1AC1741DE','{"name":"refund"}');
INSERT INTO "payloads" VALUES(19,X'CDD38F91DF865B179A157FC0325E9207','{"amount":5}');
INSERT INTO "payloads" VALUES(20,X'CB1BAFAAA51418839A0C9C6A6A40ADBB','"to billing"');
INSERT INTO "payloads" VALUES(21,X'788F0B4F1DA0ECF111A1314E812C3BAD','{"error_type":"ValueError","error_message":"our own","place":"somewhere"}');
INSERT INTO "payloads" VALUES(22,X'7FA6BBCD0730C3186E039E149D3E4AEC','{"writer":"0000000000000002-24134-abcdef","host":"there","boot":"then","machine":"that","versions":{"counterfoil":"test"}}');
INSERT INTO "payloads" VALUES(23,X'C67595C0C9D203B0A067C6DBAD604377','{"name":"desk","framework":"python","session":"s"}');
INSERT INTO "payloads" VALUES(24,X'49D3FAE3547A9A6F0687442C5ED516A9','[{"id":"q1","value":"yes","status":"approved"}]');
INSERT INTO "payloads" VALUES(25,X'1C0F307A260E869657F2609B8176B055','"refunded"');
INSERT INTO "payloads" VALUES(26,X'DBBE55F294FAAC577731E86F61D288D8','{"writer":"0000000000000003-24134-abcdef","host":"there","boot":"then","machine":"that","versions":{"counterfoil":"test"}}');
INSERT INTO "payloads" VALUES(27,X'38317EA9EEE9746A9B8DC6431D30063B','{"name":"doomed","agent":"doomed","framework":"python"}');
INSERT INTO "payloads" VALUES(28,X'73D6307CA91EE4A15830CD0CFAAC6B34','"yes"');
CREATE TABLE pruned(seq INTEGER PRIMARY KEY, tape_id INTEGER, offset INTEGER, leaf BLOB NOT NULL);
CREATE TABLE quarantine(tape_id INTEGER NOT NULL, offset INTEGER NOT NULL, at_ns INTEGER, reason TEXT, raw BLOB);
INSERT INTO "quarantine" VALUES(3,437,1795395030162178699,'the head is no event: JSON is malformed: invalid character (byte 4)',X'6E6F206576656E74');
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
INSERT INTO "t_processes" VALUES(1,24134,'there','then','that','{"counterfoil":"test"}',NULL,1700000000000000000,1700000000000000015,1700000000000000015,NULL);
INSERT INTO "t_processes" VALUES(2,24134,'there','then','that','{"counterfoil":"test"}',NULL,1700000000000000000,1700000001000000003,1700000001000000003,NULL);
INSERT INTO "t_processes" VALUES(3,24134,'there','then','that','{"counterfoil":"test"}',NULL,1700000000000000000,1700000002000000000,NULL,NULL);
CREATE TABLE t_runs(run_id TEXT PRIMARY KEY, root_id TEXT, root_ns INTEGER, started_ns INTEGER, resumes TEXT,
      first_run_id TEXT, steps INTEGER, open_steps INTEGER, waiting INTEGER, llm_calls INTEGER, tool_calls INTEGER,
      errors INTEGER, input_tokens INTEGER, input_known INTEGER, output_tokens INTEGER, output_known INTEGER,
      cost_nano INTEGER, priced_calls INTEGER, unpriced_calls INTEGER, unknown_usage_calls INTEGER,
      human_wait_ns INTEGER, handoffs INTEGER, escalations INTEGER, agents TEXT, frameworks TEXT,
      unlinked INTEGER);
INSERT INTO "t_runs" VALUES('00000000000000000000000000000003','0000000000000007',1700000002000000000,1700000002000000000,NULL,'00000000000000000000000000000003',1,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,'{"doomed":1}','{"python":1}',NULL);
INSERT INTO "t_runs" VALUES('00000000000000000000000000000002','0000000000000006',1700000001000000000,1700000001000000000,'00000000000000000000000000000001','00000000000000000000000000000001',1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,NULL,'{"python":1}',NULL);
INSERT INTO "t_runs" VALUES('00000000000000000000000000000001','0000000000000001',1700000000000000000,1700000000000000000,NULL,'00000000000000000000000000000001',5,0,0,1,1,1,90,1,9,1,1000,1,0,0,999999991,1,0,'{"triage":3}','{"python":5}',NULL);
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
INSERT INTO "tapes" VALUES(1,1,1,3784);
INSERT INTO "tapes" VALUES(2,2,1,800);
INSERT INTO "tapes" VALUES(3,3,1,446);
CREATE TABLE tiles(level INTEGER NOT NULL, n INTEGER NOT NULL, hash BLOB NOT NULL,
      PRIMARY KEY(level, n)) WITHOUT ROWID;
CREATE TABLE writers(writer_id INTEGER PRIMARY KEY, writer TEXT NOT NULL UNIQUE);
INSERT INTO "writers" VALUES(1,'0000000000000001-24134-abcdef');
INSERT INTO "writers" VALUES(2,'0000000000000002-24134-abcdef');
INSERT INTO "writers" VALUES(3,'0000000000000003-24134-abcdef');
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
