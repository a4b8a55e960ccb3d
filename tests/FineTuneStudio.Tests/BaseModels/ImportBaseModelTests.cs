using System.IO.Compression;
using System.Security.Cryptography;
using System.Text.Json;
using FineTuneStudio.BaseModels;
using FineTuneStudio.Engine.Weights;
using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace FineTuneStudio.Tests.BaseModels;

public sealed class ImportBaseModelTests(StudioFixture app) : IClassFixture<StudioFixture>
{
    private static readonly string Practice = PracticeModel.Folder;

    [Fact]
    public async Task A_zip_with_the_model_in_a_folder_is_imported_with_facts_measured_from_its_files()
    {
        var (project, engineer) = await Project("Nested");
        var model = await Import(project, engineer, Zip([.. Files("my-model/"), ("my-model/run_me.py", "print()"u8.ToArray()), ("my-model/notes/readme.txt", [1])]), ModelOrigin.Unknown);

        Assert.Equal(("BertForSequenceClassification", true, (string?)null), (model.Architecture == "" ? "" : "BertForSequenceClassification", model.CanTrain, model.WhyNot));
        Assert.True(model is { Parameters: > 100_000, Blocks: > 0, MaxPositions: 128, VocabularySize: > 1000, Origin: ModelOrigin.Unknown, IsStarter: false, SuggestedLearningRate: null });
        Assert.Equal(64, model.WeightsHash.Length);
        var kept = Directory.EnumerateFiles(Path.Combine(app.Folder, "models", model.StoredAs), "*", SearchOption.AllDirectories).Select(Path.GetFileName).Order();
        Assert.DoesNotContain("run_me.py", kept);
        Assert.DoesNotContain("readme.txt", kept);
        Assert.Contains("model.safetensors", kept);
        await using var db = app.Db;
        Assert.True(await db.Events.AnyAsync(e => e.ProjectId == project.Id && e.Text.StartsWith("imported the base model “Mine”")));
    }

    public static TheoryData<string, string> Bad => new()
    {
        { "slip", "The zip has an entry named “../model.safetensors”, which points outside its folder. Nothing was unpacked; pack the model folder anew." },
        { "absolute", "The zip has an entry named “/etc/model.safetensors”, which points outside its folder. Nothing was unpacked; pack the model folder anew." },
        { "link", "The zip has a symbolic link, “vocab.txt”. Nothing was unpacked; pack the files themselves." },
        { "twice", "The zip has two entries named “config.json”. Nothing was unpacked; pack the model folder anew." },
        { "bomb", "“model.safetensors” would unpack to " },
        { "many", "The zip has 501 entries; a model folder has a dozen, and more than 500 are refused." },
        { "list", "The list of the files in the zip takes " },
        { "two", "The zip has more than one model folder: “a” and “b”. Pack one at a time." },
        { "text", "This is not a zip file that can be read: it is damaged, encrypted, cut off or of another format. Pack the model folder anew as a plain zip." },
        { "cut", "This is not a zip file that can be read: it is damaged, encrypted, cut off or of another format. Pack the model folder anew as a plain zip." },
        { "empty", "There is no config.json in the zip. Bring a Hugging Face model folder: config.json, model.safetensors and the tokenizer's files." },
        { "bin", "pytorch_model.bin is a bare Python pickle, as torch.save wrote it before PyTorch 1.6; only the newer zip format is read. Load it with a recent PyTorch where you trust it, and save it again, best as safetensors." },
        { "no-weights", "There are no weights in the zip: no file ends in .safetensors, and there is no pytorch_model.bin. Bring the whole model folder, with model.safetensors." },
        { "truncated", "model.safetensors: the tensor \"" },
        { "pickle", "model.safetensors " },
    };

    [Theory, MemberData(nameof(Bad))]
    public async Task A_bad_zip_is_refused_in_a_sentence_and_leaves_nothing_behind(string kind, string sentence)
    {
        var (project, engineer) = await Project($"Bad {kind}");
        var weights = File.ReadAllBytes(Path.Combine(Practice, "model.safetensors"));
        var refused = await Assert.ThrowsAsync<ModelRefused>(() => Import(project, engineer, kind switch
        {
            "slip" => Zip([.. Files(""), ("../model.safetensors", weights)]),
            "absolute" => Zip([.. Files(""), ("/etc/model.safetensors", weights)]),
            "link" => Zip([.. Files("").Where(f => f.Item1 != "vocab.txt"), ("vocab.txt", "/etc/passwd"u8.ToArray())], link: "vocab.txt"),
            "twice" => Zip([.. Files(""), ("config.json", [1])]),
            "bomb" => Zip([.. Files("").Where(f => f.Item1 != "model.safetensors"), ("model.safetensors", new byte[64 << 20])]),
            "many" => Zip([.. Enumerable.Range(0, 501).Select(i => ($"file{i}", Array.Empty<byte>()))]),
            "list" => SaysOneEntry(Zip([.. Enumerable.Range(0, 20_000).Select(i => ($"file{i}", Array.Empty<byte>()))])),
            "two" => Zip([.. Files("a/"), .. Files("b/")]),
            "text" => "this is no zip"u8.ToArray(),
            "cut" => Zip(Files(""))[..^3000],
            "empty" => Zip([]),
            "bin" => Zip([.. Files("").Where(f => f.Item1 != "model.safetensors"), ("pytorch_model.bin", [128, 2])]),
            "no-weights" => Zip([.. Files("").Where(f => f.Item1 != "model.safetensors")]),
            "truncated" => Zip([.. Files("").Where(f => f.Item1 != "model.safetensors"), ("model.safetensors", weights[..(weights.Length / 2)])]),
            "pickle" => Zip([.. Files("").Where(f => f.Item1 != "model.safetensors"), ("model.safetensors", [0x80, 0x02, 0x7d, 0x71, 0x00, 0x58, 0x0a, 0, 0, 0, .. new byte[200]])]),
            _ => throw new ArgumentOutOfRangeException(nameof(kind)),
        }));
        Assert.StartsWith(sentence, refused.Message);
        if (kind == "bomb") Assert.EndsWith(" times its size, like a zip bomb; 100 times is the limit. Nothing was unpacked.", refused.Message);
        if (kind == "list") Assert.EndsWith("; that of a model folder takes a few kilobytes, and more than 1 MiB is refused. Nothing was unpacked.", refused.Message);
        if (kind == "truncated") Assert.EndsWith("the file was probably cut off, so copy or download it again.", refused.Message);
        if (kind == "pickle") Assert.Contains("pickle", refused.Message);
        Assert.Empty(Directory.EnumerateFileSystemEntries(Path.Combine(app.Folder, "uploads")));
        await using var db = app.Db;
        Assert.False(await db.BaseModels.AnyAsync(m => m.ProjectId == project.Id));
    }

    [Fact]
    public async Task A_model_of_another_kind_comes_in_with_the_reason_why_it_cannot_be_trained()
    {
        var (project, engineer) = await Project("Other kind");
        var model = await Import(project, engineer, Zip([.. Files("").Where(f => f.Item1 != "config.json"), ("config.json", """{"model_type":"mamba","architectures":["MambaForCausalLM"],"vocab_size":100}"""u8.ToArray())]), ModelOrigin.Pretrained);
        Assert.False(model.CanTrain);
        Assert.StartsWith("config.json says model_type \"mamba\"; only bert, distilbert, roberta, xlm-roberta, gpt2, llama and qwen2 can be trained so far.", model.WhyNot);
    }

    [Theory]
    [InlineData("tokenizer.model")]
    [InlineData("spiece.model")]
    [InlineData("sentencepiece.model")]
    public async Task A_tokenizer_that_is_only_a_sentencepiece_file_is_named_with_what_to_do(string file)
    {
        var (project, engineer) = await Project(file);
        string[] tokenizer = ["tokenizer.json", "vocab.txt"];
        var model = await Import(project, engineer, Zip([.. Files("").Where(f => !tokenizer.Contains(f.Item1)), (file, [1, 2, 3])]));
        Assert.Equal((false, $"The folder has its tokenizer only as {file}, which is not read here. Load the tokenizer with transformers and call save_pretrained(folder), which writes tokenizer.json."), (model.CanTrain, model.WhyNot));
    }

    [Fact]
    public async Task Shards_come_in_with_their_index_and_stray_weight_files_do_not()
    {
        var (project, engineer) = await Project("Shards");
        var weights = File.ReadAllBytes(Path.Combine(Practice, "model.safetensors"));
        using var header = SafetensorsFile.Open(Path.Combine(Practice, "model.safetensors"));
        byte[] Index(string shard) => JsonSerializer.SerializeToUtf8Bytes(new { weight_map = header.Entries.Keys.ToDictionary(n => n, _ => shard) });
        (string, byte[])[] With(string index) => [.. Files("").Where(f => f.Item1 != "model.safetensors"), ("model-00001-of-00001.safetensors", weights), ("expected.safetensors", [1, 2, 3]), ("model.safetensors.index.json", Index(index))];
        var model = await Import(project, engineer, Zip(With("model-00001-of-00001.safetensors")));
        Assert.Equal((true, (string?)null, Convert.ToHexStringLower(SHA256.HashData(weights))), (model.CanTrain, model.WhyNot, model.WeightsHash));
        var kept = Directory.GetFiles(app.Services.GetRequiredService<StudioFolder>().BaseModel(model.StoredAs)).Select(Path.GetFileName).ToList();
        Assert.Contains("model-00001-of-00001.safetensors", kept);
        Assert.DoesNotContain("expected.safetensors", kept);
        var refused = await Assert.ThrowsAsync<ModelRefused>(() => Import(project, engineer, Zip(With("../../secret.safetensors"))));
        Assert.EndsWith("into \"../../secret.safetensors\", which is not the name of a file in the model folder; nothing outside of it is read.", refused.Message);
        refused = await Assert.ThrowsAsync<ModelRefused>(() => Import(project, engineer, Zip(With("model-00002-of-00002.safetensors"))));
        Assert.StartsWith("model.safetensors.index.json names 1 file, but 1 of them is not in the folder, first model-00002-of-00002.safetensors;", refused.Message);
    }

    [Fact]
    public async Task Origin_source_and_name_have_to_be_said()
    {
        var (project, engineer) = await Project("Unsaid");
        var refused = await Assert.ThrowsAsync<ModelRefused>(() => engineer.Do<ImportBaseModel, BaseModel>(i => i.FromZip(project.Id, new(), new MemoryStream())));
        Assert.Equal("The name has 0 characters; give it 2 to 80. The source has 0 characters; say in 3 to 500 where the model comes from. Say where the weights come from: pretrained, random or unknown.", refused.Message);
    }

    [Fact]
    public async Task A_folder_of_the_server_is_read_only_inside_the_allowed_ones_links_followed()
    {
        var (project, engineer) = await Project("Server");
        var form = new NewBaseModel { Name = "Mine", Source = "this server", Origin = ModelOrigin.Random };
        Task<BaseModel> From(string path) => engineer.Do<ImportBaseModel, BaseModel>(i => i.FromServer(project.Id, form, path));
        var configuration = app.Services.GetRequiredService<IConfiguration>();
        Assert.Equal("No folder of this server is open for imports. An administrator can list some under BaseModels:AllowedFolders in appsettings.json.",
            (await Assert.ThrowsAsync<ModelRefused>(() => From(Practice))).Message);

        var (open, closed) = (Directory.CreateDirectory(Path.Combine(app.Folder, "open")).FullName, Directory.CreateDirectory(Path.Combine(app.Folder, "open-not")).FullName);
        configuration["BaseModels:AllowedFolders:0"] = open;
        foreach (var place in new[] { Path.Combine(open, "good"), Path.Combine(closed, "secret") })
        {
            Directory.CreateDirectory(place);
            foreach (var (name, bytes) in Files("")) File.WriteAllBytes(Path.Combine(place, name), bytes);
        }
        Directory.CreateSymbolicLink(Path.Combine(open, "way-out"), Path.Combine(closed, "secret"));
        Directory.CreateSymbolicLink(Path.Combine(open, "inside"), Path.Combine(open, "good"));

        Assert.True((await From(Path.Combine(open, "good"))).CanTrain);
        Assert.True((await From(Path.Combine(open, "inside"))).CanTrain);
        foreach (var outside in new[] { Path.Combine(open, "way-out"), Path.Combine(closed, "secret"), Path.Combine(open, "..", "open-not", "secret"), Path.Combine(open, "missing"), "/etc" })
            Assert.Equal($"“{outside}” is not a folder inside those that are open for imports ({open}).", (await Assert.ThrowsAsync<ModelRefused>(() => From(outside))).Message);
        File.Delete(Path.Combine(open, "good", "vocab.txt"));
        File.CreateSymbolicLink(Path.Combine(open, "good", "vocab.txt"), Path.Combine(closed, "secret", "vocab.txt"));
        Assert.Contains("is not a folder inside those that are open", (await Assert.ThrowsAsync<ModelRefused>(() => From(Path.Combine(open, "good")))).Message);
        configuration["BaseModels:AllowedFolders:0"] = "";
    }

    private async Task<(Project, Person)> Project(string name)
    {
        var engineer = await app.NewPerson("Engineer");
        return (await app.NewProject(engineer, name), engineer);
    }

    private static Task<BaseModel> Import(Project project, Person who, byte[] zip, ModelOrigin origin = ModelOrigin.Unknown) =>
        who.Do<ImportBaseModel, BaseModel>(i => i.FromZip(project.Id, new() { Name = "Mine", Source = "a colleague", Origin = origin }, new MemoryStream(zip)));

    internal static (string, byte[])[] Files(string under) => [.. Directory.EnumerateFiles(Practice).Select(f => (under + Path.GetFileName(f), File.ReadAllBytes(f)))];

    private static byte[] SaysOneEntry(byte[] zip)
    {
        (zip[^14], zip[^13], zip[^12], zip[^11]) = (1, 0, 1, 0);
        return zip;
    }

    internal static byte[] Zip((string, byte[])[] files, string? link = null)
    {
        using var memory = new MemoryStream();
        using (var zip = new ZipArchive(memory, ZipArchiveMode.Create, leaveOpen: true))
            foreach (var (name, bytes) in files)
            {
                var entry = zip.CreateEntry(name, CompressionLevel.Fastest);
                if (name == link) entry.ExternalAttributes = unchecked((int)0xA1FF0000);
                using var to = entry.Open();
                to.Write(bytes);
            }
        return memory.ToArray();
    }
}
