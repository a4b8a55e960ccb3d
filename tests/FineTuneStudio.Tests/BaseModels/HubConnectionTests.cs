using System.Net;
using FineTuneStudio.BaseModels;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Hosting.Internal;

namespace FineTuneStudio.Tests.BaseModels;

/// Where the hub may send this server, and where not. Names are looked up in a table, so that a hub of the open network can stand on this machine.
public sealed class HubConnectionTests : IAsyncLifetime
{
    private static readonly IPAddress Open = IPAddress.Parse("93.184.216.34");
    private HubServer hub = null!;

    public async Task InitializeAsync() => hub = await HubServer.Start(PracticeModel.Folder);

    public async Task DisposeAsync() => await hub.DisposeAsync();

    [Fact]
    public async Task A_private_hub_may_send_to_a_private_store()
    {
        using var answer = await Ask("127.0.0.1", elsewhere: true);
        Assert.Equal(hub.Files["model.safetensors"].Length, (await answer.Content.ReadAsByteArrayAsync()).Length);
    }

    [Theory, InlineData("store.test"), InlineData("127.0.0.1"), InlineData("10.0.0.1"), InlineData("[::1]"), InlineData("[::ffff:127.0.0.1]"), InlineData("169.254.169.254"), InlineData("2130706433"), InlineData("0x7f.1")]
    public async Task A_hub_of_the_open_network_may_not_send_into_a_private_one(string host)
    {
        hub.StoreAddress = address => address.Replace("127.0.0.1", host);
        var refused = await Assert.ThrowsAsync<ModelRefused>(() => Ask("hub.test", elsewhere: true));
        Assert.Matches("^hub.test sends to .+, an address inside a private network, which is not followed. Nothing was taken from there.$", refused.Message);
        Assert.All(hub.Log, a => Assert.True(a.ByHub));
    }

    [Fact]
    public async Task Small_files_and_descriptions_may_not_lie_elsewhere()
    {
        var refused = await Assert.ThrowsAsync<ModelRefused>(() => Ask("127.0.0.1", elsewhere: false));
        Assert.Equal("127.0.0.1 sends to http://127.0.0.1, which is not followed: only large files may lie elsewhere, and only encrypted. Nothing was taken from there.", refused.Message);
    }

    [Theory, InlineData("file:///etc/passwd"), InlineData("ftp://store.test/x"), InlineData("http://user:word@127.0.0.1/x")]
    public async Task No_other_scheme_and_no_password_in_an_address_is_followed(string target)
    {
        hub.StoreAddress = _ => target;
        Assert.EndsWith("Nothing was taken from there.", (await Assert.ThrowsAsync<ModelRefused>(() => Ask("127.0.0.1", elsewhere: true))).Message);
    }

    [Fact]
    public async Task A_circle_of_redirects_ends()
    {
        hub.StoreAddress = _ => $"{hub.Url}/team/bert-tiny/resolve/{HubServer.Commit}/model.safetensors";
        Assert.Equal("127.0.0.1 sends from one address to the next without an end; nothing was taken from there.", (await Assert.ThrowsAsync<ModelRefused>(() => Ask("127.0.0.1", elsewhere: true))).Message);
        Assert.Equal(6, hub.Log.Count);
    }

    [Fact]
    public async Task A_token_is_not_sent_over_the_open_network_in_the_clear()
    {
        var refused = await Assert.ThrowsAsync<ModelRefused>(() => Ask("hub.test", elsewhere: true, HubServer.Token));
        Assert.EndsWith("is not encrypted, so the access token is not sent there. An administrator can set BaseModels:Hub:Endpoint to one with https.", refused.Message);
        Assert.Empty(hub.Log);
    }

    [Theory]
    [InlineData("127.0.0.1", true), InlineData("10.1.2.3", true), InlineData("172.16.0.1", true), InlineData("172.32.0.1", false), InlineData("192.168.1.1", true), InlineData("169.254.169.254", true), InlineData("100.64.0.1", true),
        InlineData("0.0.0.0", true), InlineData("224.0.0.1", true), InlineData("255.255.255.255", true), InlineData("198.18.0.1", true), InlineData("93.184.216.34", false), InlineData("8.8.8.8", false), InlineData("100.128.0.1", false)]
    [InlineData("::1", true), InlineData("::", true), InlineData("fe80::1", true), InlineData("fd00::1", true), InlineData("ff02::1", true), InlineData("::ffff:10.0.0.1", true), InlineData("64:ff9b::7f00:1", true), InlineData("2002:7f00:1::", true),
        InlineData("2001:db8::1", true), InlineData("2001::1", true), InlineData("2606:4700::1111", false), InlineData("64:ff9b::808:808", false), InlineData("::ffff:8.8.8.8", false)]
    public void Private_and_reserved_addresses_are_known(string address, bool isPrivate) => Assert.Equal(isPrivate, HubConnection.IsPrivate(IPAddress.Parse(address)));

    private async Task<HttpResponseMessage> Ask(string host, bool elsewhere, string? token = null)
    {
        var configuration = new ConfigurationBuilder().AddInMemoryCollection(new Dictionary<string, string?> { ["BaseModels:Hub:Endpoint"] = hub.Url.Replace("127.0.0.1", host) }).Build();
        // The connection ends with the test's process; the answer's body is read after this.
        var connection = new HubConnection(new(configuration, new(configuration, new HostingEnvironment { ContentRootPath = Path.GetTempPath() })), (name, _) => Task.FromResult(name switch
        {
            "hub.test" => new[] { IPAddress.Loopback, Open },
            "store.test" => [IPAddress.Loopback],
            _ => throw new InvalidOperationException($"{name} is in no table."),
        }));
        return await connection.Get($"/team/bert-tiny/resolve/{HubServer.Commit}/model.safetensors", token, 0, elsewhere, default);
    }
}
